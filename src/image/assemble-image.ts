import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { HistoryEntry, ImageConfig } from "../oci/image-config.ts";
import type { Manifest } from "../oci/manifest.ts";
import { type Compression, MEDIA_TYPE } from "../oci/media-type.ts";
import type { Platform } from "../oci/platform.ts";
import { blobSize, writeBlob } from "../store/blobs.ts";
import { type Annotation, selectAnnotations } from "./annotations.ts";
import { rewriteLayers, type Squash, squashImage, type TimeRewrite } from "./change-layers.ts";
import type { ImageAccess, LazyLayer } from "./image-access.ts";
import { findDiffId, findLayerForm, type LayerForm, type WantedForm } from "./layer-forms.ts";

/** An image whose config is written; its layers may still be uncompressed. */
export interface AssembledImage {
  readonly platform: Platform;
  readonly config: ImageConfig;
  /** Also the image's id. */
  readonly configDigest: Digest;
  /** Bottom first. */
  readonly layers: readonly LazyLayer[];
}

/** A root file system with its config, as steps made them. */
export interface BuiltImage {
  readonly config: ImageConfig;
  readonly layers: readonly LazyLayer[];
  readonly platform: Platform;
}

export interface AssembleOptions {
  /** The time of the image and of all that it does not have from its base, in seconds since 1970. */
  readonly epochSeconds?: number;
  /** Needs `epochSeconds`. */
  readonly rewriteTimes?: TimeRewrite;
  readonly squash?: Squash;
  /** Further keys of the config, of the image's final layers and their diff IDs. */
  readonly addKeys?: (
    layers: readonly LazyLayer[],
    diffIds: readonly Digest[],
  ) => Readonly<Record<string, unknown>>;
}

/** Fills in what only the result knows (diff IDs and times) and writes the config as a blob. */
export async function assembleImage(
  access: ImageAccess,
  built: BuiltImage,
  { epochSeconds, rewriteTimes, squash, addKeys }: AssembleOptions = {},
): Promise<AssembledImage> {
  let image = built;
  if (squash !== undefined) image = await squashImage(access, image, squash);
  if (rewriteTimes !== undefined && epochSeconds !== undefined)
    image = await rewriteLayers(access, image, { seconds: epochSeconds, all: rewriteTimes === "all" });
  const diffIds = await Promise.all(image.layers.map((layer) => findDiffId(access, layer)));
  const dated = datedHistory(image.config.history ?? [], image.layers);
  const ownFrom = image.config.history?.findIndex(({ created }) => created === undefined) ?? -1;
  const history = epochSeconds === undefined ? dated : atEpoch(dated, { epochSeconds, ownFrom });
  const config: ImageConfig = {
    ...image.config,
    created:
      epochSeconds === undefined
        ? (history.at(-1)?.created ?? new Date(0).toISOString())
        : formatSeconds(epochSeconds),
    rootfs: { type: "layers", diff_ids: diffIds },
    history,
    ...addKeys?.(image.layers, diffIds),
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

/** What the build adds has the time that was asked for; what a base has keeps its own, unless that is later. */
function atEpoch(
  history: readonly HistoryEntry[],
  { epochSeconds, ownFrom }: { readonly epochSeconds: number; readonly ownFrom: number },
): HistoryEntry[] {
  const created = formatSeconds(epochSeconds);
  return history.map((entry, position) => {
    const isOwn = ownFrom >= 0 && position >= ownFrom;
    return isOwn || Date.parse(entry.created!) > epochSeconds * 1000 ? { ...entry, created } : entry;
  });
}

/** RFC 3339 without a fraction, as Go writes whole seconds. */
function formatSeconds(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

export interface ManifestOptions extends WantedForm {
  /** Docker's media types instead of OCI's. */
  readonly dockerTypes?: boolean;
  readonly annotations?: readonly Annotation[];
}

export interface WrittenManifest {
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  /** Blobs that the store may lack: a base's layers. */
  readonly missing?: ReadonlyMap<Digest, () => Promise<void>>;
}

/** Compresses what is not compressed yet and writes the image's manifest as a blob. */
export async function writeManifest(
  access: ImageAccess,
  image: AssembledImage,
  options: ManifestOptions,
): Promise<WrittenManifest> {
  const { store } = access;
  const { dockerTypes = false, annotations = [], ...wanted } = options;
  const forms = await Promise.all(image.layers.map((layer) => findLayerForm(access, layer, wanted)));
  const own = selectAnnotations(annotations, { level: "manifest", platform: image.platform });
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: dockerTypes ? MEDIA_TYPE.dockerManifest : MEDIA_TYPE.ociManifest,
    config: {
      mediaType: dockerTypes ? MEDIA_TYPE.dockerConfig : MEDIA_TYPE.ociConfig,
      digest: image.configDigest,
      size: await blobSize(store, image.configDigest),
    },
    layers: forms.map(({ digest, size, compression }) => ({
      mediaType: layerMediaType(compression, dockerTypes),
      digest,
      size,
    })),
    ...(own && { annotations: own }),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const digest = await writeBlob(store, bytes);
  const onDescriptor = selectAnnotations(annotations, {
    level: "manifest-descriptor",
    platform: image.platform,
  });
  const descriptor: Descriptor = {
    mediaType: manifest.mediaType!,
    digest,
    size: bytes.length,
    ...(onDescriptor && { annotations: onDescriptor }),
    platform: image.platform,
  };
  return { descriptor, manifest, missing: missingBlobs(forms) };
}

/** How to bring those that the store may lack. */
export function missingBlobs(forms: readonly LayerForm[]): ReadonlyMap<Digest, () => Promise<void>> {
  return new Map(forms.flatMap(({ digest, fetch }) => (fetch === undefined ? [] : [[digest, fetch]])));
}

/** Brings all that the manifests name into the store. */
export async function completeBlobs(manifests: readonly WrittenManifest[]): Promise<void> {
  const fetches = new Map(manifests.flatMap(({ missing }) => [...(missing ?? [])]));
  await Promise.all([...fetches.values()].map((fetch) => fetch()));
}

export function layerMediaType(compression: Compression, dockerTypes: boolean): string {
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
  { dockerTypes, annotations = [] }: Pick<ManifestOptions, "dockerTypes" | "annotations">,
): Promise<Descriptor> {
  const onIndex = selectAnnotations(annotations, { level: "index" });
  const onDescriptor = selectAnnotations(annotations, { level: "index-descriptor" });
  const [first, second] = manifests;
  if (second === undefined) {
    const { platform: _, ...descriptor } = first!.descriptor;
    return descriptor;
  }
  const mediaType = dockerTypes ? MEDIA_TYPE.dockerIndex : MEDIA_TYPE.ociIndex;
  const index = {
    schemaVersion: 2,
    mediaType,
    manifests: manifests.map(({ descriptor }) => descriptor),
    ...(onIndex && { annotations: onIndex }),
  };
  const bytes = Buffer.from(JSON.stringify(index));
  const digest = await writeBlob(access.store, bytes);
  return { mediaType, digest, size: bytes.length, ...(onDescriptor && { annotations: onDescriptor }) };
}
