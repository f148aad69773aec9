import { rm } from "node:fs/promises";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { type Compression, compressionOf } from "../oci/media-type.ts";
import { type LongWork, tellLongWork } from "../progress/tell-long-work.ts";
import type { Layer } from "../rootfs/layer.ts";
import { DEFAULT_LEVEL } from "../rootfs/pack-layer.ts";
import { adoptBlob, temporaryPath } from "../store/blobs.ts";
import { GrowingBlob } from "../store/growing-blob.ts";
import { findLayer, findLayerBlobs, type LayerBlob, recordDiffId, recordLayerBlob } from "../store/layers.ts";
import { acquireLock } from "../store/locks.ts";
import { packedBlocksPlace } from "../store/packed-blocks.ts";
import type { ImageAccess, LazyLayer } from "./image-access.ts";

export interface WantedForm {
  readonly compression: Compression;
  /** gzip: 0 to 9; zstd: 1 to 22. Of layers that are compressed now; the usual one when absent. */
  readonly level?: number;
  /** Also for the layers of a base image, which otherwise stay as they came. */
  readonly force?: boolean;
  /** Called with each large blob when it begins to be compressed, which can be read while it grows. */
  readonly follow?: (blob: GrowingBlob) => void;
}

/** Of the tar, in bytes: what is read before a blob counts as large. */
const LARGE_BYTES = 16 << 20;

/** A blob of a layer, in the store unless `fetch` has yet to bring it. */
export interface LayerForm {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  readonly compression: Compression;
  fetch?(): Promise<void>;
}

/**
 * The diff ID of a layer; a RUN's layer is hashed for it, once. DIFFERS: docker compresses the layers of every image that gets
 * a tag; here that waits until the image leaves the store.
 */
export async function findDiffId(access: ImageAccess, layer: LazyLayer): Promise<Digest> {
  return layer.diffId ?? storedDiffId(access, layer) ?? (await digestAndKeep(access, layer));
}

/**
 * A form of a layer in which it can leave. A base image's layer stays the blob that it is in that image, which need not be here; the
 * layers that steps made are ours, and always the same bytes for one encoder, whatever else the store has.
 */
export async function findLayerForm(
  access: ImageAccess,
  layer: LazyLayer,
  wanted: WantedForm,
): Promise<LayerForm> {
  const { blob } = layer;
  if (blob !== undefined && layer.fetchBlob !== undefined && isWanted(blob, layer, wanted)) {
    const compression = compressionOf(blob.mediaType);
    return { digest: blob.digest, size: blob.size, compression, fetch: () => layer.fetchBlob!() };
  }
  return findOwnForm(access, layer, wanted);
}

/** What a step made elsewhere, and an imported cache has, must be compressed as it would be here. */
function isWanted(
  blob: Descriptor,
  { created, blobLevel }: LazyLayer,
  { compression, level, force }: WantedForm,
): boolean {
  const own = compressionOf(blob.mediaType);
  if (created === undefined) return !force || own === compression;
  const usual = compression === "uncompressed" ? undefined : DEFAULT_LEVEL[compression];
  return own === compression && (blobLevel ?? usual) === (level ?? usual);
}

async function findOwnForm(access: ImageAccess, layer: LazyLayer, wanted: WantedForm): Promise<LayerBlob> {
  const { store, signal } = access;
  const known = findKnownForm(access, layer, wanted);
  if (known !== undefined) return known;
  const loaded = await layer.load();
  // Several outputs, caches and builds may want it at once: one compresses it.
  using _lock = await acquireLock(store, `form ${loaded.id} ${nameEncoder(wanted)}`, signal);
  return (
    findKnownForm(access, { ...layer, layerId: loaded.id }, wanted) ??
    (await packForm(access, loaded, wanted))
  );
}

function findKnownForm(access: ImageAccess, layer: LazyLayer, wanted: WantedForm): LayerBlob | undefined {
  const { compression, force } = wanted;
  const encoder = nameEncoder(wanted);
  const diffId = layer.diffId ?? storedDiffId(access, layer);
  const blobs = diffId === undefined ? [] : findLayerBlobs(access.store, diffId);
  const ours = blobs.find((blob) => blob.compression === compression && blob.encoder === encoder);
  if (ours !== undefined || layer.created !== undefined) return ours;
  // Of an image that was loaded or pulled: its own bytes, not new ones.
  return blobs.find((blob) => blob.encoder === "foreign" && (!force || blob.compression === compression));
}

async function packForm(access: ImageAccess, layer: Layer, wanted: WantedForm): Promise<LayerBlob> {
  const { store, work, signal } = access;
  const { compression, level, follow } = wanted;
  const encoder = nameEncoder(wanted);
  const blobPath = temporaryPath(store);
  let growing: GrowingBlob | undefined;
  try {
    const request = {
      layer,
      compression,
      blobPath,
      reuse: { ...packedBlocksPlace(store), encoder },
      ...(level !== undefined && { level }),
    };
    const packed = await tellLongWork(access, describePacking(access, layer, wanted), (onProgress) =>
      work.packLayer(request, {
        signal,
        onProgress(progress) {
          onProgress(progress);
          if (growing === undefined && follow !== undefined && progress.doneBytes >= LARGE_BYTES) {
            growing = new GrowingBlob(blobPath);
            follow(growing);
          }
          growing?.grow();
        },
      }),
    );
    await adoptBlob(store, blobPath, packed.digest);
    growing?.end(packed.digest, store.blobPath(packed.digest));
    recordDiffId(store, layer.id, packed.diffId, packed.tarSizeBytes);
    const blob = { ...packed, compression, encoder };
    recordLayerBlob(store, blob);
    return blob;
  } catch (error) {
    growing?.fail(error);
    throw error;
  } finally {
    await rm(blobPath, { force: true });
  }
}

function describePacking(
  { store }: ImageAccess,
  { id, diffId, content }: Layer,
  wanted: WantedForm,
): LongWork {
  const { compression } = wanted;
  const digest = (diffId ?? `layer ${id}`).slice(0, 19);
  const isCompressed = compression !== "uncompressed";
  return {
    id: `pack ${id} ${nameEncoder(wanted)}`,
    name: isCompressed ? `compress ${digest} with ${compression}` : `write ${digest} as a tar`,
    label: isCompressed ? "compressed" : "written",
    totalBytes: content.kind === "tar" ? findLayer(store, id)?.sizeBytes : undefined,
  };
}

/** Says how our own blobs are made: the same tar gives the same bytes with the same encoder. */
function nameEncoder({ compression, level }: WantedForm): string {
  const { zlib, zstd } = process.versions;
  if (compression === "uncompressed") return "slipway-1";
  const library = compression === "gzip" ? `zlib-${zlib}` : `zstd-${zstd}`;
  return `slipway-1 ${library} ${process.arch} level-${level ?? DEFAULT_LEVEL[compression]}`;
}

async function digestAndKeep(access: ImageAccess, layer: LazyLayer): Promise<Digest> {
  const loaded = await layer.load();
  const { diffId, tarSizeBytes } = await access.work.digestLayer(loaded, { signal: access.signal });
  recordDiffId(access.store, loaded.id, diffId, tarSizeBytes);
  return diffId;
}

function storedDiffId({ store }: ImageAccess, { layerId }: LazyLayer): Digest | undefined {
  return layerId === undefined ? undefined : findLayer(store, layerId)?.diffId;
}
