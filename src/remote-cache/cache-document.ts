import { BuildError } from "../errors/build-error.ts";
import { type Digest, isDigest } from "../oci/digest.ts";

/*
 * The records of a cache that travels: a JSON document, which is the config of an image manifest whose layers are the cache's (in a
 * registry or a layout), or lies in the config of the image itself. Only digests, times and random names are in it: what went into
 * a key may hold values of ARGs and stays at home.
 */

/** Media type of the document as a manifest's config. */
export const CACHE_MEDIA_TYPE = "application/vnd.slipway.cache.v1+json";
/** The key of the document in an image's config. Others ignore it. */
export const INLINE_CACHE_KEY = "dev.slipway.cache.v1";

export interface CacheDocument {
  readonly records: readonly CachedRecord[];
  /** The forms of the layers; absent in an image, whose manifest has them. */
  readonly layers?: readonly CachedLayer[];
  /** Cache mounts that were saved: diff IDs of layers, bottom first. */
  readonly mounts?: readonly { readonly name: string; readonly layers: readonly Digest[] }[];
}

export interface CachedRecord {
  readonly id: string;
  /** When the step ran, in milliseconds since 1970. */
  readonly created: number;
  /** Digests that lead to it. */
  readonly keys: readonly Digest[];
  /** Of its layer, where the cache has that. */
  readonly diffId?: Digest;
}

export interface CachedLayer {
  readonly diffId: Digest;
  /** The blob among the manifest's layers. */
  readonly digest: Digest;
  /** How hard it was compressed; the usual level when absent. */
  readonly level?: number;
}

/** @throws BuildError `image-invalid` for what slipway did not write. `name` is the cache's, for messages. */
export function parseCacheDocument(value: unknown, name: string): CacheDocument {
  if (isCacheDocument(value)) return value;
  throw new BuildError("image-invalid", `Cannot import the cache "${name}": its records are damaged`, {
    hint: "Write it anew with --cache-to",
  });
}

function isCacheDocument(value: unknown): value is CacheDocument {
  if (!isObject(value) || !isListOf(value.records, isRecord)) return false;
  const { layers = [], mounts = [] } = value;
  return isListOf(layers, isLayer) && isListOf(mounts, isMount);
}

function isRecord(value: unknown): boolean {
  return (
    isObject(value) &&
    typeof value.id === "string" &&
    Number.isSafeInteger(value.created) &&
    isListOf(value.keys, isDigestText) &&
    (value.diffId === undefined || isDigestText(value.diffId))
  );
}

function isLayer(value: unknown): boolean {
  return (
    isObject(value) &&
    isDigestText(value.diffId) &&
    isDigestText(value.digest) &&
    (value.level === undefined || Number.isInteger(value.level))
  );
}

/** The name becomes that of a directory. */
function isMount(value: unknown): boolean {
  return (
    isObject(value) &&
    typeof value.name === "string" &&
    /^[0-9a-f]{64}$/.test(value.name) &&
    isListOf(value.layers, isDigestText)
  );
}

function isDigestText(value: unknown): boolean {
  return typeof value === "string" && isDigest(value);
}

function isListOf(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isItem);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
