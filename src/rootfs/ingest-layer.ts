import type { Digest } from "../oci/digest.ts";
import type { Layer } from "./layer.ts";

/** A layer's blob that enters, and where it goes. */
export interface IngestRequest {
  /** The layer becomes `<layersDirectory>/<hex of its diff ID>`, with the files `tar` and `index`. */
  readonly layersDirectory: string;
  readonly mediaType: string;
  readonly digest: Digest;
  /** Of the blob, in bytes. */
  readonly size: number;
  /** Where the blob itself is kept, once verified; it is not kept when absent. */
  readonly blobPath?: string;
  /** What the image's config says it is; refused when it is not so. */
  readonly diffId?: Digest;
}

export interface IngestedLayer {
  readonly layer: Layer & { readonly diffId: Digest };
  readonly diffId: Digest;
  readonly tarSizeBytes: number;
}
