import type { Digest } from "./digest.ts";
import type { Platform } from "./platform.ts";

/** OCI image spec 1.1, descriptor.md. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  readonly urls?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
  readonly artifactType?: string;
}

/** A foreign layer stays where its URLs say: its owner does not let it be handed on. */
export function isForeign({ urls = [] }: Descriptor): boolean {
  return urls.length > 0;
}
