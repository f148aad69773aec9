import type { Compression } from "../oci/media-type.ts";

/** Where results are looked for besides the store. */
export type CacheSource =
  /** An OCI layout in a directory. `selector`: a tag or digest; `latest` when absent. */
  | { readonly type: "local"; readonly directory: string; readonly selector?: string }
  /** A cache, or an image with one inside. */
  | { readonly type: "registry"; readonly reference: string; readonly insecure?: boolean };

/** Where the results of a build are written. */
export type CacheTarget = LocalCacheTarget | RegistryCacheTarget | InlineCacheTarget;

export interface LocalCacheTarget extends CacheForm {
  readonly type: "local";
  readonly directory: string;
  /** `latest` when absent. */
  readonly tag?: string;
  /** Removes what the layout had before. */
  readonly reset?: boolean;
}

export interface RegistryCacheTarget extends CacheForm {
  readonly type: "registry";
  readonly reference: string;
  readonly insecure?: boolean;
}

/** In the config of each image that the build makes. */
export interface InlineCacheTarget {
  readonly type: "inline";
}

export interface CacheForm {
  /** Whose layers are in it: those of the outputs, or all. All records are, in both. */
  readonly mode: "min" | "max";
  /** `gzip` when absent. */
  readonly compression?: Compression;
  readonly compressionLevel?: number;
  /** True when absent. */
  readonly ociMediaTypes?: boolean;
  /** Ids of cache mounts that are saved, too. */
  readonly mounts?: readonly string[];
  /** A failure is a warning. */
  readonly ignoreError?: boolean;
}

/** What messages and progress call a place. */
export function nameCachePlace(place: CacheSource | CacheTarget): string {
  switch (place.type) {
    case "local":
      return place.directory;
    case "registry":
      return place.reference;
    case "inline":
      return "inline";
  }
}
