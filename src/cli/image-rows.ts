import type { ImageAccess } from "../image/image-access.ts";
import { type Digest, digestHex } from "../oci/digest.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { familiarRepository, parseImageReference } from "../oci/reference.ts";
import { readJsonBlob } from "../store/blobs.ts";
import { listImages, listTags, type StoredImage } from "../store/images.ts";
import { measureLayers } from "../store/layers.ts";
import type { Store } from "../store/open-store.ts";

/** A name of an image; an image without a name has one row too. */
export interface ImageRow {
  readonly image: StoredImage;
  /** As docker shows it; `<none>` when there is none. */
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
  readonly sizeBytes: number;
}

/** What docker shows in place of a name. */
export const NO_NAME = "<none>";

/** The newest images first. */
export async function listImageRows({ store }: ImageAccess): Promise<ImageRow[]> {
  const tags = listTags(store);
  const rows: ImageRow[] = [];
  for (const image of listImages(store)) {
    const sizeBytes = await imageSize(store, image);
    const own = tags.filter((tag) => tag.configDigest === image.configDigest);
    // Two platforms' names may lead to one image.
    for (const name of new Set(own.map((tag) => tag.name))) {
      const reference = parseImageReference(name);
      const target = own.find((tag) => tag.name === name)?.targetDigest;
      rows.push({
        image,
        sizeBytes,
        repository: familiarRepository(reference),
        tag: reference.tag ?? NO_NAME,
        digest: reference.digest ?? target ?? NO_NAME,
      });
    }
    if (own.length === 0) rows.push({ image, sizeBytes, repository: NO_NAME, tag: NO_NAME, digest: NO_NAME });
  }
  return rows;
}

/** Of the uncompressed layers that are here: a pulled image has them once something needed them. */
export async function imageSize(store: Store, image: StoredImage): Promise<number> {
  if (image.sizeBytes > 0) return image.sizeBytes;
  const { rootfs } = await readJsonBlob<ImageConfig>(store, image.configDigest);
  return measureLayers(store, rootfs.diff_ids);
}

/** docker's short form of an id. */
export function shortId(digest: Digest): string {
  return digestHex(digest).slice(0, 12);
}
