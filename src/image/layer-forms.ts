import { rm } from "node:fs/promises";
import type { Digest } from "../oci/digest.ts";
import { type Compression, compressionOf } from "../oci/media-type.ts";
import type { LayerDigest } from "../rootfs/digest-layer.ts";
import { DEFAULT_LEVEL } from "../rootfs/pack-layer.ts";
import { adoptBlob, temporaryPath } from "../store/blobs.ts";
import { findLayer, findLayerBlobs, type LayerBlob, recordDiffId, recordLayerBlob } from "../store/layers.ts";
import { packedBlocksPlace } from "../store/packed-blocks.ts";
import type { ImageAccess, LazyLayer } from "./image-access.ts";

export interface WantedForm {
  readonly compression: Compression;
  /** gzip: 0 to 9; zstd: 1 to 22. Of layers that are compressed now; the usual one when absent. */
  readonly level?: number;
  /** Also for the layers of a base image, which otherwise stay as they came. */
  readonly force?: boolean;
}

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
  if (blob !== undefined && layer.fetchBlob !== undefined) {
    const compression = compressionOf(blob.mediaType);
    if (!wanted.force || compression === wanted.compression) {
      return { digest: blob.digest, size: blob.size, compression, fetch: () => layer.fetchBlob!() };
    }
  }
  return findOwnForm(access, layer, wanted);
}

async function findOwnForm(access: ImageAccess, layer: LazyLayer, wanted: WantedForm): Promise<LayerBlob> {
  const { store } = access;
  const { compression, level } = wanted;
  const encoder = nameEncoder(wanted);
  const known = layer.diffId ?? storedDiffId(access, layer);
  const blobs = known === undefined ? [] : findLayerBlobs(store, known);
  const ours = blobs.find((blob) => blob.compression === compression && blob.encoder === encoder);
  if (ours !== undefined) return ours;
  // Of an image that was loaded or pulled: its own bytes, not new ones.
  const foreign = blobs.find(
    (blob) => blob.encoder === "foreign" && (!wanted.force || blob.compression === compression),
  );
  if (foreign !== undefined && layer.created === undefined) return foreign;

  const blobPath = temporaryPath(store);
  try {
    const packed = await access.work.packLayer(
      {
        layer: await layer.load(),
        compression,
        blobPath,
        reuse: { ...packedBlocksPlace(store), encoder },
        ...(level !== undefined && { level }),
      },
      { signal: access.signal },
    );
    await adoptBlob(store, blobPath, packed.digest);
    keepDiffId(access, layer, packed);
    const blob = { ...packed, compression, encoder };
    recordLayerBlob(store, blob);
    return blob;
  } finally {
    await rm(blobPath, { force: true });
  }
}

/** Says how our own blobs are made: the same tar gives the same bytes with the same encoder. */
function nameEncoder({ compression, level }: WantedForm): string {
  const { zlib, zstd } = process.versions;
  if (compression === "uncompressed") return "slipway-1";
  const suffix = level === undefined || level === DEFAULT_LEVEL[compression] ? "" : ` level-${level}`;
  return `slipway-1 ${compression === "gzip" ? `zlib-${zlib}` : `zstd-${zstd}`} ${process.arch}${suffix}`;
}

async function digestAndKeep(access: ImageAccess, layer: LazyLayer): Promise<Digest> {
  const digest = await access.work.digestLayer(await layer.load(), { signal: access.signal });
  keepDiffId(access, layer, digest);
  return digest.diffId;
}

function keepDiffId(
  { store }: ImageAccess,
  { layerId }: LazyLayer,
  { diffId, tarSizeBytes }: LayerDigest,
): void {
  if (layerId !== undefined) recordDiffId(store, layerId, diffId, tarSizeBytes);
}

function storedDiffId({ store }: ImageAccess, { layerId }: LazyLayer): Digest | undefined {
  return layerId === undefined ? undefined : findLayer(store, layerId)?.diffId;
}
