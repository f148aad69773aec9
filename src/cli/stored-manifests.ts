import { type AssembledImage, type WrittenManifest, writeManifest } from "../image/assemble-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { openStoredImage } from "../image/resolve-image.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import type { Manifest } from "../oci/manifest.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { normalizePlatform } from "../oci/platform.ts";
import { hasBlob, readBlob, readJsonBlob } from "../store/blobs.ts";
import type { StoredImage } from "../store/images.ts";

/**
 * The manifest of a stored image, with all its blobs in the store. A pulled image keeps the one that it came with, so that its digest
 * stays. `text` is what the user called it, which says where missing layers are.
 */
export async function openStoredManifest(
  access: ImageAccess,
  image: StoredImage,
  text: string,
): Promise<WrittenManifest> {
  const { store } = access;
  const opened = await openStoredImage(access, image, text);
  await Promise.all(opened.layers.map((layer) => layer.load()));
  const platform = normalizePlatform(opened.config);
  if (image.manifestDigest !== undefined) {
    const bytes = await readBlob(store, image.manifestDigest);
    const manifest = JSON.parse(bytes.toString("utf8")) as Manifest;
    if (manifest.layers.every(({ digest }) => hasBlob(store, digest))) {
      const mediaType = manifest.mediaType ?? MEDIA_TYPE.ociManifest;
      return {
        manifest,
        descriptor: { mediaType, digest: image.manifestDigest, size: bytes.length, platform },
      };
    }
  }
  const config = await readJsonBlob<ImageConfig>(store, image.configDigest);
  const assembled: AssembledImage = {
    platform,
    config,
    configDigest: image.configDigest,
    layers: opened.layers,
  };
  return writeManifest(access, assembled, { compression: "gzip", dockerTypes: true });
}
