import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../oci/digest.ts";
import type { Compression } from "../oci/media-type.ts";
import { hasBlob, temporaryPath } from "./blobs.ts";
import { inTransaction } from "./database.ts";
import { tellGrowth } from "./growth.ts";
import { forgetSize, measureKept } from "./measure-path.ts";
import type { Store } from "./open-store.ts";
import { isPinned, useTime } from "./use-time.ts";

/** A layer that the store holds whole: its index and the form in which it was born, in `store.layerPath(id)`. */
export interface StoredLayer {
  readonly id: string;
  readonly kind: "tar" | "directory";
  /** Unknown until a RUN's layer has been packed once. */
  readonly diffId?: Digest;
  /** Of the uncompressed tar, where it is known. */
  readonly sizeBytes?: number;
}

interface LayerRow {
  readonly id: string;
  readonly kind: "tar" | "directory";
  readonly diff_id: Digest | null;
  readonly size_bytes: number | null;
  readonly used: number;
}

/**
 * Moves a finished layer's directory from this process's temporary directory into the store. When the same layer is there
 * already (another process was faster), this one is dropped: they are equal.
 */
export function publishLayer(store: Store, layer: StoredLayer, directory: string): void {
  publishDirectory(store, directory, () => {
    if (findLayer(store, layer.id) !== undefined) return undefined;
    const now = useTime(store);
    store.database
      .prepare("INSERT INTO layers VALUES (?, ?, ?, ?, ?, ?, 0, ?)")
      .run(layer.id, layer.kind, layer.diffId ?? null, layer.sizeBytes ?? null, now, now, store.lease.bootId);
    return `layers/${layer.id}`;
  });
}

export function findLayer(store: Store, id: string): StoredLayer | undefined {
  const row = store.database.prepare("SELECT * FROM layers WHERE id = ?").get(id) as LayerRow | undefined;
  return row && useRow(store, row);
}

export function findLayerByDiffId(store: Store, diffId: Digest): StoredLayer | undefined {
  const row = store.database
    .prepare("SELECT * FROM layers WHERE diff_id = ? ORDER BY kind DESC")
    .get(diffId) as LayerRow | undefined;
  return row && useRow(store, row);
}

/** Of a layer's tar, in bytes, where it is known. To look at it is not to use it. */
export function findLayerSize(store: Store, diffId: Digest): number | undefined {
  const row = store.database
    .prepare(`SELECT max(size) AS size FROM (
       SELECT size_bytes AS size FROM layers WHERE diff_id = ? UNION ALL SELECT tar_bytes FROM layer_blobs WHERE diff_id = ?)`)
    .get(diffId, diffId);
  return (row?.size as number | null) ?? undefined;
}

/** Of all the layers' tars that are known, in bytes. */
export function measureLayers(store: Store, diffIds: readonly Digest[]): number {
  return diffIds.reduce((sum, diffId) => sum + (findLayerSize(store, diffId) ?? 0), 0);
}

/** Undefined when it was reclaimed meanwhile. */
function useRow(store: Store, row: LayerRow): StoredLayer | undefined {
  if (isPinned(store, row)) return fromRow(row);
  const used = store.database
    .prepare("UPDATE layers SET used = ? WHERE id = ? RETURNING *")
    .get(useTime(store), row.id) as LayerRow | undefined;
  return used && fromRow(used);
}

/** A RUN's layer was packed for the first time. */
export function recordDiffId(store: Store, id: string, diffId: Digest, sizeBytes: number): void {
  store.database
    .prepare("UPDATE layers SET diff_id = ?, size_bytes = ? WHERE id = ?")
    .run(diffId, sizeBytes, id);
}

/** A compressed form of a layer's tar. */
export interface LayerBlob {
  readonly digest: Digest;
  readonly diffId: Digest;
  /** In bytes. */
  readonly size: number;
  readonly compression: Compression;
  /** Who compressed it: `foreign`, or our encoder with its settings; the same tar gives the same bytes only for one encoder. */
  readonly encoder: string;
  /** Of the tar, in bytes, where it is known. */
  readonly tarSizeBytes?: number;
}

/** Says which layer a blob, which is in the store, is a form of. One of our own stays ours when it comes back in an image. */
export function recordLayerBlob(store: Store, blob: LayerBlob): void {
  store.database
    .prepare(`INSERT INTO layer_blobs VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET
       encoder = CASE excluded.encoder WHEN 'foreign' THEN encoder ELSE excluded.encoder END,
       tar_bytes = coalesce(excluded.tar_bytes, tar_bytes)`)
    .run(blob.digest, blob.diffId, blob.size, blob.compression, blob.encoder, blob.tarSizeBytes ?? null);
}

/** The compressed forms of a layer whose blobs are here now. */
export function findLayerBlobs(store: Store, diffId: Digest): LayerBlob[] {
  const rows = store.database
    .prepare("SELECT * FROM layer_blobs WHERE diff_id = ? ORDER BY digest")
    .all(diffId) as {
    digest: Digest;
    diff_id: Digest;
    size: number;
    compression: Compression;
    encoder: string;
    tar_bytes: number | null;
  }[];
  return rows
    .map(({ diff_id, tar_bytes, ...row }) => ({
      ...row,
      diffId: diff_id,
      ...(tar_bytes !== null && { tarSizeBytes: tar_bytes }),
    }))
    .filter((blob) => hasBlob(store, blob.digest));
}

/** What a blob unpacks to, remembered even when the blob is gone. */
export function findDiffIdOfBlob(store: Store, digest: Digest): Digest | undefined {
  const row = store.database.prepare("SELECT diff_id FROM layer_blobs WHERE digest = ?").get(digest);
  return row?.diff_id as Digest | undefined;
}

/** The directory that was made for `key` (a layer, at its place in a chain where that matters), if there is one. */
export function findMaterialised(store: Store, key: string): string | undefined {
  let row = store.database.prepare("SELECT name, used FROM materialised WHERE key = ?").get(key) as
    | { readonly name: number; readonly used: number }
    | undefined;
  if (row === undefined) return undefined;
  if (!isPinned(store, row)) {
    row = store.database
      .prepare("UPDATE materialised SET used = ? WHERE name = ? RETURNING name, used")
      .get(useTime(store), row.name) as typeof row;
  }
  return row && store.materialisedPath(row.name);
}

/** Moves a finished directory into the store under `key`; returns where it, or an equal one made meanwhile, is. */
export function publishMaterialised(
  store: Store,
  made: { readonly key: string; readonly layerId: string; readonly directory: string },
): string {
  publishDirectory(store, made.directory, () => {
    if (findMaterialised(store, made.key) !== undefined) return undefined;
    const { lastInsertRowid } = store.database
      .prepare("INSERT INTO materialised (key, layer_id, used, durable, boot_id) VALUES (?, ?, ?, 0, ?)")
      .run(made.key, made.layerId, useTime(store), store.lease.bootId);
    return `m/${Number(lastInsertRowid).toString(36)}`;
  });
  return findMaterialised(store, made.key)!;
}

/**
 * Runs `insertRow`, which says where in the store it goes, and the rename as one: whatever is in the way then has no row. It may be
 * damaged (its row was lost with a power cut), so it goes.
 */
function publishDirectory(store: Store, directory: string, insertRow: () => string | undefined): void {
  const published = inTransaction(store.database, () => {
    const path = insertRow();
    if (path === undefined) return undefined;
    const target = join(store.root, path);
    if (existsSync(target)) renameSync(target, temporaryPath(store));
    renameSync(directory, target);
    // Of one that was there before, measured when it was just gone.
    forgetSize(store, path);
    return path;
  });
  // What another process made meanwhile is equal to ours.
  if (published === undefined) rmSync(directory, { recursive: true, force: true });
  else tellGrowth(store, () => measureKept(store, published));
}

function fromRow(row: LayerRow): StoredLayer {
  return {
    id: row.id,
    kind: row.kind,
    ...(row.diff_id !== null && { diffId: row.diff_id }),
    ...(row.size_bytes !== null && { sizeBytes: row.size_bytes }),
  };
}
