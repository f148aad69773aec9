import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { HistoryEntry, ImageConfig } from "../oci/image-config.ts";
import type { Manifest } from "../oci/manifest.ts";
import { type Compression, MEDIA_TYPE } from "../oci/media-type.ts";
import type { Platform } from "../oci/platform.ts";
import { blobSize, writeBlob } from "../store/blobs.ts";
import type { ImageAccess, LazyLayer } from "./image-access.ts";
import { findDiffId, findLayerBlob } from "./layer-forms.ts";

/** An image whose config is written; its layers may still be uncompressed. */
export interface AssembledImage {
  readonly platform: Platform;
  readonly config: ImageConfig;
  /** Also the image's id. */
  readonly configDigest: Digest;
  /** Bottom first. */
  readonly layers: readonly LazyLayer[];
}

/** Fills in what only the result knows (diff IDs and times) and writes the config as a blob. */
export async function assembleImage(
  access: ImageAccess,
  image: { readonly config: ImageConfig; readonly layers: readonly LazyLayer[]; readonly platform: Platform },
): Promise<AssembledImage> {
  const diffIds = await Promise.all(image.layers.map((layer) => findDiffId(access, layer)));
  const history = datedHistory(image.config.history ?? [], image.layers);
  const config: ImageConfig = {
    ...image.config,
    created: history.at(-1)?.created ?? new Date(0).toISOString(),
    rootfs: { type: "layers", diff_ids: diffIds },
    history,
  };
  const configDigest = await writeBlob(access.store, Buffer.from(JSON.stringify(config)));
  const layers = image.layers.map((layer, position) => ({ ...layer, diffId: diffIds[position]! }));
  return { platform: image.platform, config, configDigest, layers };
}

/**
 * An entry that made a layer has the time when that step ran, also when it came from the cache; one that made none has the
 * time of the entry before it. So a build that changes nothing gives the same image.
 */
function datedHistory(history: readonly HistoryEntry[], layers: readonly LazyLayer[]): HistoryEntry[] {
  let position = 0;
  let last: string | undefined;
  const firstOwn = layers.find((layer) => layer.created !== undefined)?.created;
  return history.map((entry) => {
    const layer = entry.empty_layer ? undefined : layers[position++];
    const own = layer?.created === undefined ? undefined : new Date(layer.created).toISOString();
    const created = entry.created ?? own ?? last ?? new Date(firstOwn ?? 0).toISOString();
    last = created;
    return { created, ...entry };
  });
}

export interface ManifestOptions {
  readonly compression: Compression;
  readonly forceCompression?: boolean;
  /** Docker's media types instead of OCI's. */
  readonly dockerTypes?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface WrittenManifest {
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
}

/** Compresses what is not compressed yet and writes the image's manifest as a blob. */
export async function writeManifest(
  access: ImageAccess,
  image: AssembledImage,
  options: ManifestOptions,
): Promise<WrittenManifest> {
  const { store } = access;
  const { compression, forceCompression, dockerTypes = false } = options;
  const blobs = await Promise.all(
    image.layers.map((layer) => findLayerBlob(access, layer, { compression, force: forceCompression })),
  );
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: dockerTypes ? MEDIA_TYPE.dockerManifest : MEDIA_TYPE.ociManifest,
    config: {
      mediaType: dockerTypes ? MEDIA_TYPE.dockerConfig : MEDIA_TYPE.ociConfig,
      digest: image.configDigest,
      size: await blobSize(store, image.configDigest),
    },
    layers: blobs.map(({ digest, size, compression }) => ({
      mediaType: layerMediaType(compression, dockerTypes),
      digest,
      size,
    })),
    ...(options.annotations && { annotations: options.annotations }),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const digest = await writeBlob(store, bytes);
  const descriptor = { mediaType: manifest.mediaType!, digest, size: bytes.length, platform: image.platform };
  return { descriptor, manifest };
}

function layerMediaType(compression: Compression, dockerTypes: boolean): string {
  switch (compression) {
    case "gzip":
      return dockerTypes ? MEDIA_TYPE.dockerLayerGzip : MEDIA_TYPE.ociLayerGzip;
    case "zstd":
      return dockerTypes ? MEDIA_TYPE.dockerLayerZstd : MEDIA_TYPE.ociLayerZstd;
    case "uncompressed":
      return dockerTypes ? MEDIA_TYPE.dockerLayer : MEDIA_TYPE.ociLayer;
  }
}

/** The manifest itself for one image, an index over them for several. */
export async function writeIndexOrManifest(
  access: ImageAccess,
  manifests: readonly WrittenManifest[],
  options: Pick<ManifestOptions, "dockerTypes">,
): Promise<Descriptor> {
  const [first, second] = manifests;
  if (second === undefined) {
    const { platform: _, ...descriptor } = first!.descriptor;
    return descriptor;
  }
  const mediaType = options.dockerTypes ? MEDIA_TYPE.dockerIndex : MEDIA_TYPE.ociIndex;
  const index = { schemaVersion: 2, mediaType, manifests: manifests.map(({ descriptor }) => descriptor) };
  const bytes = Buffer.from(JSON.stringify(index));
  return { mediaType, digest: await writeBlob(access.store, bytes), size: bytes.length };
}
