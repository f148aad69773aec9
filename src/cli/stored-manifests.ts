import { type AssembledImage, type WrittenManifest, writeManifest } from "../image/assemble-image.ts";
import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import { openStoredImage } from "../image/resolve-image.ts";
import type { Digest } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { normalizePlatform } from "../oci/platform.ts";
import { hasBlob, readBlob } from "../store/blobs.ts";
import type { StoredImage } from "../store/images.ts";
import { findLayerByDiffId } from "../store/layers.ts";

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
  { isLocal = false }: { readonly isLocal?: boolean } = {},
): Promise<WrittenManifest> {
  const { store } = access;
  const opened = await openStoredImage(access, image, text);
  const platform = normalizePlatform(opened.config);
  const layers = isLocal ? opened.layers.map((layer) => withoutFetch(access, layer)) : opened.layers;
  if (image.manifestDigest !== undefined) {
    const bytes = await readBlob(store, image.manifestDigest);
    const manifest = JSON.parse(bytes.toString("utf8")) as Manifest;
    const missing = listFetches(layers);
    if (manifest.layers.every(({ digest }) => missing.has(digest) || hasBlob(store, digest))) {
      const mediaType = manifest.mediaType ?? MEDIA_TYPE.ociManifest;
      return {
        manifest,
        descriptor: { mediaType, digest: image.manifestDigest, size: bytes.length, platform },
        missing,
      };
    }
  }
  const { config, configDigest } = opened;
  const assembled: AssembledImage = { platform, config, configDigest, layers };
  return writeManifest(access, assembled, { compression: "gzip", dockerTypes: true });
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
