import { rm } from "node:fs/promises";
import type { Digest } from "../oci/digest.ts";
import type { Compression } from "../oci/media-type.ts";
import type { LayerDigest } from "../rootfs/digest-layer.ts";
import { adoptBlob, temporaryPath } from "../store/blobs.ts";
import { findLayer, findLayerBlobs, type LayerBlob, recordDiffId, recordLayerBlob } from "../store/layers.ts";
import type { ImageAccess, LazyLayer } from "./image-access.ts";

/** Says how our own blobs are made: the same tar gives the same bytes with the same encoder. */
const ENCODER = `slipway-1 zlib-${process.versions.zlib} ${process.arch}`;

/**
 * The diff ID of a layer; a RUN's layer is hashed for it, once. DIFFERS: docker compresses the layers of every image that gets
 * a tag; here that waits until the image leaves the store.
 */
export async function findDiffId(access: ImageAccess, layer: LazyLayer): Promise<Digest> {
  return layer.diffId ?? storedDiffId(access, layer) ?? (await digestAndKeep(access, layer));
}

/**
 * A compressed form of a layer, in the store: the blob that it was pulled as, or one that was made before, or a fresh one.
 * A form in another compression than the wanted one serves as well unless `force`.
 */
export async function findLayerBlob(
  access: ImageAccess,
  layer: LazyLayer,
  wanted: { readonly compression: Compression; readonly force?: boolean },
): Promise<LayerBlob> {
  const { store } = access;
  const known = layer.diffId ?? storedDiffId(access, layer);
  const choose = (diffId: Digest): LayerBlob | undefined => {
    const blobs = findLayerBlobs(store, diffId);
    const same = blobs.find((blob) => blob.compression === wanted.compression);
    return same ?? (wanted.force ? undefined : blobs.find((blob) => blob.encoder === "foreign"));
  };
  const existing = known && choose(known);
  if (existing !== undefined) return existing;
  // A base image's blob comes with its layer.
  const loaded = await layer.load();
  const fetched = known && choose(known);
  if (fetched !== undefined) return fetched;

  const blobPath = temporaryPath(store);
  try {
    const packed = await access.work.packLayer(
      { layer: loaded, compression: wanted.compression, blobPath },
      { signal: access.signal },
    );
    await adoptBlob(store, blobPath, packed.digest);
    keepDiffId(access, layer, packed);
    const blob = { ...packed, compression: wanted.compression, encoder: ENCODER };
    recordLayerBlob(store, blob);
    return blob;
  } finally {
    await rm(blobPath, { force: true });
  }
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
