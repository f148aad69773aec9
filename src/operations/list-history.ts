import type { ImageAccess } from "../image/image-access.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { readJsonBlob } from "../store/blobs.ts";
import type { StoredImage } from "../store/images.ts";
import { findLayerSize } from "../store/layers.ts";
import { findImage, type PlatformChoice } from "./find-image.ts";

/** An instruction of an image's history (OCI image spec, "history"). */
export interface HistoryStep {
  readonly createdBy: string;
  readonly comment: string;
  /** In milliseconds since 1970. */
  readonly created?: number;
  /** Of the layer that it made. */
  readonly diffId?: Digest;
  /** Of that layer's tar; 0 where it made none, or it was not fetched. */
  readonly sizeBytes: number;
}

/**
 * What made an image, the oldest first.
 *
 * @throws BuildError `image-not-found`.
 */
export async function listHistory(
  access: ImageAccess,
  text: string,
  choice?: PlatformChoice,
): Promise<{ readonly image: StoredImage; readonly steps: readonly HistoryStep[] }> {
  const { store } = access;
  const image = findImage(access, text, choice);
  const config = await readJsonBlob<ImageConfig>(store, image.configDigest);
  let layer = 0;
  const steps = (config.history ?? []).map(({ comment = "", created, created_by = "", empty_layer }) => {
    const diffId = empty_layer ? undefined : config.rootfs.diff_ids[layer++];
    return {
      createdBy: created_by,
      comment,
      sizeBytes: (diffId && findLayerSize(store, diffId)) ?? 0,
      ...(created !== undefined && { created: Date.parse(created) }),
      ...(diffId !== undefined && { diffId }),
    };
  });
  return { image, steps };
}
