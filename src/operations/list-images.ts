import type { ImageAccess } from "../image/image-access.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { familiarRepository, parseImageReference } from "../oci/reference.ts";
import { hasWildcard } from "../rootfs/match-glob.ts";
import { readJsonBlob } from "../store/blobs.ts";
import { listImages as listStoredImages, listTags, type StoredImage } from "../store/images.ts";
import { measureLayers } from "../store/layers.ts";
import type { Store } from "../store/open-store.ts";
import { filterImages, type ImageFilters, matchesReference } from "./filter-images.ts";

/** A name of an image; an image without a name is listed once, too. */
export interface ListedImage extends StoredImage {
  /** As docker shows it (`alpine`, `ghcr.io/a/b`); absent when it has no name. */
  readonly repository?: string;
  readonly tag?: string;
  /** What the name stands for at its registry, as far as that is known. */
  readonly digest?: string;
}

export interface ListImagesOptions extends ImageFilters {
  /** Only this repository, `REPOSITORY:TAG` or `REPOSITORY@DIGEST`; may have `*`, `?` and `[a-z]`. */
  readonly name?: string;
}

/**
 * The images of the store, by their names, the newest first.
 *
 * @throws BuildError `image-not-found` when `before` or `since` name nothing; `option-invalid` for what is no name.
 */
export async function listImages(
  access: ImageAccess,
  { name, ...filters }: ListImagesOptions = {},
): Promise<readonly ListedImage[]> {
  const images = await filterImages(access, await listNames(access), filters);
  return name === undefined ? images : images.filter(makeNameTest(name));
}

async function listNames({ store }: ImageAccess): Promise<ListedImage[]> {
  const tags = listTags(store);
  const listed: ListedImage[] = [];
  for (const stored of listStoredImages(store)) {
    const image = { ...stored, sizeBytes: await measureStoredImage(store, stored) };
    const own = tags.filter((tag) => tag.configDigest === image.configDigest);
    // Two platforms' names may lead to one image.
    const names = new Set(own.map((tag) => tag.name));
    const references = [...names].map((name) => ({ name, ...parseImageReference(name) }));
    const tagged = new Set(
      references.flatMap((one) => (one.tag === undefined ? [] : familiarRepository(one))),
    );
    for (const { name, ...reference } of references) {
      // As docker has it: a digest is for who has no tag.
      if (reference.tag === undefined && tagged.has(familiarRepository(reference))) continue;
      const target = own.find((tag) => tag.name === name)?.targetDigest;
      listed.push({
        ...image,
        repository: familiarRepository(reference),
        tag: reference.tag,
        digest: reference.digest ?? target,
      });
    }
    if (own.length === 0) listed.push(image);
  }
  return listed;
}

/** Of the uncompressed layers that are here: a pulled image has them once something needed them. */
export async function measureStoredImage(store: Store, image: StoredImage): Promise<number> {
  if (image.sizeBytes > 0) return image.sizeBytes;
  const { rootfs } = await readJsonBlob<ImageConfig>(store, image.configDigest);
  return measureLayers(store, rootfs.diff_ids);
}

function makeNameTest(name: string): (image: ListedImage) => boolean {
  if (hasWildcard(name)) return (image) => matchesReference(image, name);
  const reference = parseImageReference(name);
  const wanted = familiarRepository(reference);
  const hasTag = /:[^/]*$/.test(name);
  return ({ repository, tag, digest }) => {
    if (repository !== wanted) return false;
    if (reference.digest !== undefined) return digest === reference.digest;
    return !hasTag || tag === reference.tag;
  };
}
