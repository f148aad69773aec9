import { BuildError } from "../errors/build-error.ts";
import { makeLimitError } from "../errors/input-limits.ts";
import type { CopySource, ImageDocument } from "../export/copy-image.ts";
import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import { makeLazyLayer } from "../image/lazy-layer.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import type { ImageIndex, Manifest } from "../oci/manifest.ts";
import { isIndexMediaType, isManifestMediaType } from "../oci/media-type.ts";
import type { ImportedRecord, ImportedRecords } from "../solve/step-record.ts";
import { recordBlobOrigins } from "../store/blob-origins.ts";
import {
  CACHE_MEDIA_TYPE,
  type CacheDocument,
  type CachedLayer,
  INLINE_CACHE_KEY,
  parseCacheDocument,
} from "./cache-document.ts";

const BUILDKIT_CACHE = "application/vnd.buildkit.cacheconfig.v0";
const BUILDKIT_INLINE_KEY = "moby.buildkit.cache.v0";

/** What a cache has; nothing of it is fetched. */
export interface ImportedCache extends Pick<ImportedRecords, "mounts"> {
  readonly records: readonly ImportedRecord[];
}

/**
 * Reads the records of a cache, or of the image (for several platforms, too) that has one inside. Their layers are not fetched.
 *
 * @throws BuildError `image-not-found` for an image without a cache, `unsupported` for a cache of BuildKit, `image-invalid`.
 */
export async function readCache(access: ImageAccess, source: CopySource): Promise<ImportedCache> {
  const found = await readDocument(access, source, await source.resolve());
  if (found.length > 0) {
    return {
      records: found.flatMap(({ records }) => records),
      mounts: new Map(found.flatMap(({ mounts }) => [...mounts])),
    };
  }
  throw new BuildError(
    "image-not-found",
    `Cannot import the cache "${source.name}": it is an image without a cache`,
    { hint: "Build it with --cache-to type=inline" },
  );
}

/** One list for each cache that is in it. */
async function readDocument(
  access: ImageAccess,
  source: CopySource,
  document: ImageDocument,
): Promise<ImportedCache[]> {
  if (isIndexMediaType(document.descriptor.mediaType)) {
    const { manifests = [] } = parseJson<ImageIndex>(document.bytes, source);
    // Its older form: an index of layers.
    if (manifests.some(({ mediaType }) => mediaType === BUILDKIT_CACHE)) throw refuseBuildKit(source);
    const images = manifests.filter(({ mediaType }) => isManifestMediaType(mediaType));
    const read = images.map(async (descriptor) =>
      readDocument(access, source, { descriptor, bytes: await source.readManifest(descriptor) }),
    );
    return (await Promise.all(read)).flat();
  }
  const manifest = parseJson<Manifest>(document.bytes, source);
  if (!Array.isArray(manifest.layers) || typeof manifest.config?.mediaType !== "string") {
    throw new BuildError(
      "image-invalid",
      `Cannot import the cache "${source.name}": its manifest has no config or no layers`,
    );
  }
  if (manifest.config.mediaType === BUILDKIT_CACHE) throw refuseBuildKit(source);
  const config = parseJson<unknown>(await readConfig(access, source, manifest.config), source);
  const cache =
    manifest.config.mediaType === CACHE_MEDIA_TYPE
      ? parseCacheDocument(config, source.name)
      : readInlineCache(config as ImageConfig, manifest, source);
  return cache === undefined ? [] : [openRecords(access, source, { cache, manifest })];
}

function refuseBuildKit({ name }: CopySource): BuildError {
  return new BuildError(
    "unsupported",
    `Cannot import the cache "${name}": BuildKit wrote it, and its records mean nothing to slipway`,
    { hint: "Give slipway's cache a name of its own, and write it with --cache-to" },
  );
}

/** The cache in an image's config, with the layers that the manifest has for its diff IDs. */
function readInlineCache(
  config: ImageConfig,
  manifest: Manifest,
  source: CopySource,
): CacheDocument | undefined {
  const inside = config as unknown as Readonly<Record<string, unknown>>;
  if (inside[INLINE_CACHE_KEY] === undefined) {
    if (inside[BUILDKIT_INLINE_KEY] !== undefined) throw refuseBuildKit(source);
    return undefined;
  }
  const { records } = parseCacheDocument(inside[INLINE_CACHE_KEY], source.name);
  const layers = (config.rootfs?.diff_ids ?? []).flatMap((diffId, position): CachedLayer[] => {
    const digest = manifest.layers[position]?.digest;
    return digest === undefined ? [] : [{ diffId, digest }];
  });
  return { records, layers };
}

function openRecords(
  access: ImageAccess,
  source: CopySource,
  { cache, manifest }: { readonly cache: CacheDocument; readonly manifest: Manifest },
): ImportedCache {
  const blobs = new Map(manifest.layers.map((blob) => [blob.digest, blob]));
  const layers = new Map<Digest, LazyLayer>();
  const origin = {
    name: source.name,
    openBlob: (
      descriptor: Descriptor,
      { onProgress }: { readonly onProgress: (doneBytes: number) => void },
    ) => source.openBlob(descriptor, onProgress),
  };
  for (const { diffId, digest, level } of cache.layers ?? []) {
    const blob = blobs.get(digest);
    if (blob === undefined) continue;
    const { mediaType, size } = blob;
    const layer = makeLazyLayer(access, { diffId, descriptor: { mediaType, digest, size }, origin });
    layers.set(diffId, { ...layer, ...(level !== undefined && { blobLevel: level }) });
  }
  rememberOrigins(access, source, [...layers.values()]);
  const records = cache.records.map(({ id, created, keys, diffId }) => {
    const layer = diffId === undefined ? undefined : layers.get(diffId);
    return { id, created, keys, ...(layer && { layer: { ...layer, created } }) };
  });
  const mounts = (cache.mounts ?? []).flatMap(({ name, layers: diffIds }) => {
    const parts = diffIds.flatMap((diffId) => layers.get(diffId) ?? []);
    // Half a mount would be another one.
    return parts.length === diffIds.length ? [[name, parts] as const] : [];
  });
  return { records, mounts: new Map(mounts) };
}

/** So that an image which is made of them finds them there, and another repository of the registry mounts them. */
function rememberOrigins(
  { store }: ImageAccess,
  { reference }: CopySource,
  layers: readonly LazyLayer[],
): void {
  if (reference === undefined) return;
  const { registry, repository } = reference;
  recordBlobOrigins(
    store,
    layers.map(({ diffId, blob }) => ({ ...blob!, registry, repository, diffId })),
  );
}

async function readConfig(
  { limits }: ImageAccess,
  source: CopySource,
  config: Descriptor,
): Promise<Uint8Array> {
  if (config.size > limits["config-size"]) {
    throw makeLimitError(
      "config-size",
      `Cannot import the cache "${source.name}": its config is larger`,
      limits,
    );
  }
  return Buffer.concat(await Array.fromAsync(source.openBlob(config)));
}

function parseJson<Document>(bytes: Uint8Array, { name }: CopySource): Document {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    if (typeof value === "object" && value !== null) return value as Document;
  } catch {
    // Said below.
  }
  throw new BuildError(
    "image-invalid",
    `Cannot import the cache "${name}": one of its documents is not a JSON object`,
  );
}
