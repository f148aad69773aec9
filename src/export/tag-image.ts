import type { AssembledImage } from "../image/assemble-image.ts";
import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import type { Digest } from "../oci/digest.ts";
import { formatPlatform } from "../oci/platform.ts";
import { formatImageReference, parseImageReference } from "../oci/reference.ts";
import { findOriginsOfLayer } from "../store/blob-origins.ts";
import { makeDurable } from "../store/durability.ts";
import { writeImage, writeTag } from "../store/images.ts";
import { findLayerByDiffId, measureLayers } from "../store/layers.ts";

/** Fetches the layers of an image that nobody could find later: those of a layout, and not of a registry. */
export async function keepReachable({ store }: ImageAccess, { layers }: AssembledImage): Promise<void> {
  const isLost = ({ diffId, fetchBlob }: LazyLayer) =>
    fetchBlob !== undefined &&
    diffId !== undefined &&
    findLayerByDiffId(store, diffId) === undefined &&
    findOriginsOfLayer(store, diffId).length === 0;
  await Promise.all(layers.filter(isLost).map((layer) => layer.load()));
}

/**
 * Puts an image into the store, under its id and any number of names. Nothing is compressed for it. What the names stand for is on the
 * disk before them: a power loss must not leave an image without its layers. `targetDigest`: what the names stand for at their registries, if
 * the image was pushed.
 */
export async function tagImage(
  { store }: ImageAccess,
  image: AssembledImage,
  { names, targetDigest }: { readonly names: readonly string[]; readonly targetDigest?: Digest },
): Promise<void> {
  await makeDurable(store);
  const platform = formatPlatform(image.platform);
  const references = names.map(parseImageReference);
  const sizeBytes = measureLayers(store, image.config.rootfs.diff_ids);
  const { configDigest } = image;
  const created = Date.parse(image.config.created ?? "") || 0;
  writeImage(store, { configDigest, platform, sizeBytes, created });
  for (const reference of references) {
    const name = formatImageReference(reference);
    writeTag(store, { name, platform, configDigest, targetDigest, updated: Date.now() });
  }
}
