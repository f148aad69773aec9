import type { Readable } from "node:stream";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageReference } from "../oci/reference.ts";
import type { CredentialsProvider } from "./credentials.ts";

/** How to talk to registries. Everything may be left out. */
export interface RegistryClientOptions {
  /** Anonymous when absent. */
  readonly credentials?: CredentialsProvider;
  /** `host[:port]` of registries that may speak plain HTTP or show a certificate that nobody signed. Loopback addresses always may. */
  readonly insecureRegistries?: readonly string[];
  /** `--tls-verify`: false treats every registry as insecure, true not even loopback addresses. Absent: docker's rule. */
  readonly tlsVerify?: boolean;
  /** How often a request is repeated after a 429, a 5xx or a broken connection, and the first pause, which doubles. */
  readonly retries?: { readonly count: number; readonly delayMs: number };
  readonly userAgent?: string;
  /** Aborts everything that the client does. */
  readonly signal?: AbortSignal;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
}

export interface TransferOptions extends RequestOptions {
  /** Called with the bytes transferred so far; after a restart it may go back. Must not throw. */
  readonly onProgress?: (doneBytes: number) => void;
}

export interface ResolvedManifest {
  /** Media type, digest and size of `bytes`. */
  readonly descriptor: Descriptor;
  /** The manifest or index as the registry sent it, verified. */
  readonly bytes: Uint8Array;
}

/**
 * Talks the OCI distribution spec 1.1 with any number of registries. Connections and tokens are kept until it is disposed.
 * Every failure is a BuildError that names the registry: `image-not-found`, `authentication`, `registry`, `verification`, `unsupported`.
 */
export interface RegistryClient extends AsyncDisposable {
  /** Gets a manifest or index by digest, else by tag. */
  resolveManifest(reference: ImageReference, options?: RequestOptions): Promise<ResolvedManifest>;
  /** What the registry says a reference is, without its bytes; undefined when it has no such manifest. Not verified. */
  headManifest(reference: ImageReference, options?: RequestOptions): Promise<Descriptor | undefined>;
  /**
   * Streams a blob of the reference's repository. The stream throws `verification` at its end unless size and digest
   * are the descriptor's: what came before must not be trusted until it has ended.
   */
  openBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    options?: TransferOptions,
  ): AsyncIterable<Uint8Array>;
  hasBlob(reference: ImageReference, digest: Digest, options?: RequestOptions): Promise<boolean>;
  /** Makes a blob of another repository of the same registry appear in the reference's; false when the registry would not. */
  mountBlob(
    reference: ImageReference,
    digest: Digest,
    fromRepository: string,
    options?: RequestOptions,
  ): Promise<boolean>;
  /** Uploads a blob unless the repository has it. `openStream` is called again for each attempt. */
  pushBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    openStream: () => AsyncIterable<Uint8Array> | Readable,
    options?: TransferOptions,
  ): Promise<"existed" | "pushed">;
  /** Puts a manifest or index under the reference's tag, or its digest when it has no tag. */
  pushManifest(
    reference: ImageReference,
    mediaType: string,
    bytes: Uint8Array,
    options?: RequestOptions,
  ): Promise<Descriptor>;
}

export function makeRegistryClient(_options: RegistryClientOptions = {}): RegistryClient {
  throw new Error("not yet");
}
