import type { Digest } from "../oci/digest.ts";

/**
 * One immutable change to a file system. It is born in one form: as an uncompressed tar (a base image's layer, a COPY) or
 * as a directory in the form of an overlay's upper directory (a RUN). The other forms are made from it on demand.
 */
export interface Layer {
  /** Names the layer in its store: the diff ID's hex for layers that were born as a tar, a random name for RUN's. */
  readonly id: string;
  /** The sorted index file (`layer-index.ts`). */
  readonly indexPath: string;
  readonly content:
    | { readonly kind: "tar"; readonly tarPath: string }
    | { readonly kind: "directory"; readonly directoryPath: string };
  /** Digest of the uncompressed tar; unknown for a RUN's layer until it is packed. */
  readonly diffId?: Digest;
}
