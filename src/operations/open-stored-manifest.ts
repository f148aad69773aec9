import {
  type AssembledImage,
  type WrittenManifest,
  writeIndexOrManifest,
  writeManifest,
} from "../image/assemble-image.ts";
import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import type { WantedForm } from "../image/layer-forms.ts";
import { openStoredImage } from "../image/resolve-image.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageIndex, Manifest } from "../oci/manifest.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { normalizePlatform } from "../oci/platform.ts";
import { parseImageReference, storeName } from "../oci/reference.ts";
import { blobSize, hasBlob, readJsonBlob } from "../store/blobs.ts";
import { findImage, findTags, type StoredImage } from "../store/images.ts";
import { findLayerByDiffId } from "../store/layers.ts";
import { findImage as findNamedImage } from "./find-image.ts";

/** What goes to a registry under a name, or into an archive. */
export interface StoredRoot {
  /** A manifest, or an index over several. */
  readonly root: Descriptor;
  readonly manifests: readonly WrittenManifest[];
}

/**
 * What the store has under a name, for all platforms. What was pulled or pushed keeps its digest, as long as all of it is here or can be
 * fetched: annotations, attestations and another compression stay. Else it is as `build --push` makes it; `follow` sees the layers that
 * are compressed for that.
 *
 * @throws BuildError `image-not-found`.
 */
export async function openStoredRoot(
  access: ImageAccess,
  text: string,
  { follow }: Pick<WantedForm, "follow"> = {},
): Promise<StoredRoot> {
  const tags = findTags(access.store, storeName(parseImageReference(text)));
  const images = [...new Set(tags.map((tag) => tag.configDigest))].map((id) => findImage(access.store, id)!);
  if (images.length === 0) images.push(findNamedImage(access, text));
  const [target, ...others] = new Set(tags.map((tag) => tag.targetDigest));
  const known =
    target === undefined || others.length > 0
      ? undefined
      : await openTarget(access, target, async (id) => {
          const image = images.find(({ configDigest }) => configDigest === id);
          return image === undefined ? [] : (await openStoredImage(access, image, text)).layers;
        });
  if (known !== undefined) return known;
  const manifests = await Promise.all(
    images.map((image) => openStoredManifest(access, image, text, { follow })),
  );
  return { root: await writeIndexOrManifest(access, manifests, {}), manifests };
}

/** A manifest or index of a registry with all that it lists; undefined when part of it is neither here nor among an image's layers. */
async function openTarget(
  access: ImageAccess,
  digest: Digest,
  layersOf: (configDigest: Digest) => Promise<readonly LazyLayer[]>,
): Promise<StoredRoot | undefined> {
  const { store } = access;
  if (!hasBlob(store, digest)) return undefined;
  const document = await readJsonBlob<Partial<ImageIndex> & Partial<Manifest>>(store, digest);
  const entries = document.manifests?.map((entry) => entry.digest) ?? [digest];
  const manifests: WrittenManifest[] = [];
  for (const entry of entries) {
    if (!hasBlob(store, entry)) return undefined;
    const { config } = await readJsonBlob<Partial<Manifest>>(store, entry);
    const manifest = config && (await openKnownManifest(access, entry, await layersOf(config.digest)));
    if (manifest === undefined) return undefined;
    manifests.push(manifest);
  }
  if (document.manifests === undefined) return { root: manifests[0]!.descriptor, manifests };
  const { mediaType = MEDIA_TYPE.ociIndex } = document;
  return { root: { mediaType, digest, size: await blobSize(store, digest) }, manifests };
}

/**
 * The manifest of a stored image; what of its blobs is not here, its `missing` fetches. A pulled image keeps the manifest that it came
 * with, so that its digest stays. `text` is what the user called it, which says where missing layers are.
 *
 * `isLocal`: no blob is missing whose layer is here in another form; the image gets another manifest for it, and needs no registry.
 */
export async function openStoredManifest(
  access: ImageAccess,
  image: StoredImage,
  text: string,
  { isLocal = false, follow }: { readonly isLocal?: boolean } & Pick<WantedForm, "follow"> = {},
): Promise<WrittenManifest> {
  const opened = await openStoredImage(access, image, text);
  const platform = normalizePlatform(opened.config);
  const layers = isLocal ? opened.layers.map((layer) => withoutFetch(access, layer)) : opened.layers;
  const known = image.manifestDigest && (await openKnownManifest(access, image.manifestDigest, layers));
  if (known) return { ...known, descriptor: { ...known.descriptor, platform } };
  const { config, configDigest } = opened;
  const assembled: AssembledImage = { platform, config, configDigest, layers };
  return writeManifest(access, assembled, { compression: "gzip", follow });
}

/** A manifest of the store; undefined when it names blobs that are neither here nor to be fetched as one of the layers. */
async function openKnownManifest(
  { store }: ImageAccess,
  digest: Digest,
  layers: readonly LazyLayer[],
): Promise<WrittenManifest | undefined> {
  const manifest = await readJsonBlob<Manifest>(store, digest);
  const missing = listFetches(layers);
  const blobs = [manifest.config, ...manifest.layers];
  if (!blobs.every((blob) => missing.has(blob.digest) || hasBlob(store, blob.digest))) return undefined;
  const { mediaType = MEDIA_TYPE.ociManifest } = manifest;
  return { manifest, descriptor: { mediaType, digest, size: await blobSize(store, digest) }, missing };
}

/** A layer that is here is not fetched in another form. */
function withoutFetch({ store }: ImageAccess, { fetchBlob, ...layer }: LazyLayer): LazyLayer {
  const isHere = layer.diffId !== undefined && findLayerByDiffId(store, layer.diffId) !== undefined;
  return isHere || fetchBlob === undefined ? layer : { ...layer, fetchBlob };
}

function listFetches(layers: readonly LazyLayer[]): ReadonlyMap<Digest, () => Promise<void>> {
  return new Map(
    layers.flatMap(({ blob, fetchBlob }) =>
      blob === undefined || fetchBlob === undefined ? [] : [[blob.digest, fetchBlob]],
    ),
  );
}
