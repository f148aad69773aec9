import type { Writable } from "node:stream";
import type { EngineAddress } from "../export/engine-address.ts";
import type { Annotation } from "../image/annotations.ts";
import type { TimeRewrite } from "../image/change-layers.ts";
import type { Compression } from "../oci/media-type.ts";

/** Where an image goes. */
export type BuildOutput = {
  /** The stage that it is about, of those that are built; the first when absent. */
  readonly target?: string;
} & (ImageOutput | ArchiveOutput | FilesOutput | TarOutput | { readonly type: "cacheonly" });

/** How an image is written. `names` add to the build's tags. */
export interface ImageForm {
  readonly names: readonly string[];
  /** OCI's media types, or Docker's; OCI's but for `docker` when absent. Annotations and zstd need OCI's. */
  readonly ociMediaTypes?: boolean;
  /** `gzip` when absent. */
  readonly compression?: Compression;
  /** gzip: 0 to 9; zstd: 1 to 22. */
  readonly compressionLevel?: number;
  /** Layers of a base image, too, which else stay as they came. */
  readonly forceCompression?: boolean;
  readonly annotations?: readonly Annotation[];
  /** Times of the files in the layers that the build made, by SOURCE_DATE_EPOCH. */
  readonly rewriteTimestamp?: TimeRewrite;
  /** In place of SOURCE_DATE_EPOCH, in seconds since 1970. */
  readonly sourceDateEpoch?: number;
}

/** The store, and with `push` the registry of each name. */
export interface ImageOutput extends ImageForm {
  readonly type: "image";
  readonly push: boolean;
  /** Under the digest only, for names without a tag. */
  readonly pushByDigest?: boolean;
  /** The registry may speak plain HTTP or show a certificate that nobody signed. */
  readonly insecure?: boolean;
  /** Whether the store keeps the image; true when absent. */
  readonly store?: boolean;
}

/** A tar at the path or into the stream `dest`; a directory at the path with `tar: false`; or a docker engine that runs. */
export interface ArchiveOutput extends ImageForm {
  readonly type: "oci" | "docker";
  readonly dest: string | Writable | EngineAddress;
  readonly tar: boolean;
}

/** The files of the root file system. */
export interface FilesOutput {
  readonly type: "local";
  /** A directory. */
  readonly dest: string;
  /** `delete` removes what the result does not have; `copy` when absent. */
  readonly mode?: "copy" | "delete";
  readonly platformSplit?: boolean;
  readonly sourceDateEpoch?: number;
}

/** The same as a tar, with owners. */
export interface TarOutput {
  readonly type: "tar";
  readonly dest: string | Writable;
  readonly platformSplit?: boolean;
  readonly sourceDateEpoch?: number;
}
