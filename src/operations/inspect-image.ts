import type { ImageAccess } from "../image/image-access.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { readJsonBlob } from "../store/blobs.ts";
import { type ImageTag, listTags, type StoredImage } from "../store/images.ts";
import { findImage, type PlatformChoice } from "./find-image.ts";
import { measureStoredImage } from "./list-images.ts";

/** What the store knows of an image. */
export interface InspectedImage extends StoredImage {
  readonly config: ImageConfig;
  /** The names that lead to it. */
  readonly tags: readonly ImageTag[];
}

/**
 * Reads what there is to know of an image of the store.
 *
 * @param text a name or an id.
 * @throws BuildError `image-not-found`.
 */
export async function inspectImage(
  access: ImageAccess,
  text: string,
  choice?: PlatformChoice,
): Promise<InspectedImage> {
  const { store } = access;
  const image = findImage(access, text, choice);
  return {
    ...image,
    sizeBytes: await measureStoredImage(store, image),
    config: await readJsonBlob<ImageConfig>(store, image.configDigest),
    tags: listTags(store).filter(({ configDigest }) => configDigest === image.configDigest),
  };
}
