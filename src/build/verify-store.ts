import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { ImageAccess } from "../image/image-access.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { Layer } from "../rootfs/layer.ts";
import { openStoredLayer } from "../rootfs/stored-layer.ts";
import { readJsonBlob } from "../store/blobs.ts";
import { removeImage } from "../store/images.ts";
import { hasLayerName, KEPT_INDEXES, keptIndexPath } from "../store/kept-indexes.ts";
import type { Store } from "../store/open-store.ts";
import { removeItem } from "../store/remove-item.ts";
import { type ItemKind, namesIn } from "../store/store-items.ts";

/** Something in the store that is not what it should be. */
export interface StoreProblem {
  readonly kind: "blob" | "layer" | "index" | "unpacked" | "record" | "image" | "database";
  readonly id: string;
  /** What is wrong, as the end of a sentence. */
  readonly what: string;
}

export interface VerifyOptions {
  /** Drop what is bad: it is made or fetched again when somebody needs it. */
  readonly repair?: boolean;
}

type Check = (report: (problem: StoreProblem) => Promise<void>) => Promise<void>;

/**
 * Checks the whole store: blobs against their digests, layers against their indexes and digests, the indexes that removed layers
 * left, unpacked layers against their layer, records against layers, images against what they stand on. Builds may go on: what went away meanwhile is no problem.
 */
export async function verifyStore(access: ImageAccess, { repair }: VerifyOptions): Promise<StoreProblem[]> {
  const problems: StoreProblem[] = [];
  // In this order: what stands on something that is dropped is bad, too.
  for (const check of [
    checkDatabase,
    checkBlobs,
    checkLayers,
    checkIndexes,
    checkUnpacked,
    checkRecords,
    checkImages,
  ]) {
    const run: Check = (report) => check(access, report);
    await run(async (problem) => {
      problems.push(problem);
      if (repair) await drop(access.store, problem);
    });
  }
  return problems;
}

type Report = Parameters<Check>[0];

async function checkDatabase({ store }: ImageAccess, report: Report): Promise<void> {
  for (const row of store.database.prepare("PRAGMA integrity_check").all()) {
    const what = String(row.integrity_check);
    if (what !== "ok") await report({ kind: "database", id: "db.sqlite", what });
  }
}

async function checkBlobs({ store, work, signal }: ImageAccess, report: Report): Promise<void> {
  await inParallel(await readdir(join(store.root, "blobs/sha256")), async (hex) => {
    const digest: Digest = `sha256:${hex}`;
    const found = await work.digestFile(store.blobPath(digest), { signal }).catch((error) => error as Error);
    if (found === hex || !existsSync(store.blobPath(digest))) return;
    const what = typeof found === "string" ? `its bytes have the digest sha256:${found}` : found.message;
    await report({ kind: "blob", id: digest, what });
  });
}

async function checkLayers({ store, work, signal }: ImageAccess, report: Report): Promise<void> {
  await inParallel(listLayers(store), async (layer) => {
    const what = await work.checkLayer({ layer }, { signal });
    if (what !== undefined && hasLayer(store, layer.id)) await report({ kind: "layer", id: layer.id, what });
  });
}

async function checkIndexes({ store, work, signal }: ImageAccess, report: Report): Promise<void> {
  await inParallel(await namesIn(store, KEPT_INDEXES), async (id) => {
    const path = join(store.root, keptIndexPath(id));
    const what = hasLayerName(id) ? await work.checkIndex(path, { signal }) : "no layer has such a name";
    if (what !== undefined && existsSync(path)) await report({ kind: "index", id, what });
  });
}

async function checkUnpacked({ store, work, signal }: ImageAccess, report: Report): Promise<void> {
  const layers = new Map(listLayers(store).map((layer) => [layer.id, layer]));
  const rows = store.database.prepare("SELECT name, layer_id AS layerId FROM materialised").all();
  await inParallel(rows as { name: number; layerId: string }[], async ({ name, layerId }) => {
    const unpackedPath = store.materialisedPath(name);
    const layer = layers.get(layerId);
    const what =
      layer === undefined
        ? existsSync(unpackedPath)
          ? undefined
          : `"${unpackedPath}" is missing`
        : await work.checkLayer({ layer, unpackedPath }, { signal });
    const isKnown =
      store.database.prepare("SELECT 1 FROM materialised WHERE name = ?").get(name) !== undefined;
    if (what !== undefined && isKnown) await report({ kind: "unpacked", id: name.toString(36), what });
  });
}

async function checkRecords({ store }: ImageAccess, report: Report): Promise<void> {
  const rows = store.database
    .prepare("SELECT id FROM records WHERE layer_id <> '' AND layer_id NOT IN (SELECT id FROM layers)")
    .all();
  for (const { id } of rows) await report({ kind: "record", id: String(id), what: "its layer is missing" });
}

async function checkImages({ store }: ImageAccess, report: Report): Promise<void> {
  const rows = store.database
    .prepare("SELECT config_digest AS configDigest, manifest_digest AS manifestDigest FROM images")
    .all() as { configDigest: Digest; manifestDigest: Digest | null }[];
  for (const { configDigest, manifestDigest } of rows) {
    let what: string | undefined;
    try {
      const config = await readJsonBlob<ImageConfig>(store, configDigest);
      const manifest =
        manifestDigest === null ? undefined : await readJsonBlob<Manifest>(store, manifestDigest);
      const missing = config.rootfs.diff_ids.find(
        (diffId, position) => !canHave(store, diffId, manifest?.layers[position]?.digest),
      );
      if (missing !== undefined)
        what = `its layer ${missing} is missing, and nobody knows where it came from`;
    } catch (error) {
      what = (error as Error).message;
    }
    const isKnown =
      store.database.prepare("SELECT 1 FROM images WHERE config_digest = ?").get(configDigest) !== undefined;
    if (what !== undefined && isKnown) await report({ kind: "image", id: configDigest, what });
  }
}

/** A layer of an image is here, or its blob is, or a registry is known that has it. */
function canHave(store: Store, diffId: Digest, blob: Digest | undefined): boolean {
  const { database } = store;
  if (database.prepare("SELECT 1 FROM layers WHERE diff_id = ?").get(diffId) !== undefined) return true;
  if (blob !== undefined && existsSync(store.blobPath(blob))) return true;
  return (
    database.prepare("SELECT 1 FROM blob_origins WHERE diff_id = ? OR digest = ?").get(diffId, blob ?? "") !==
    undefined
  );
}

async function drop(store: Store, { kind, id }: StoreProblem): Promise<void> {
  const remove = (itemKind: ItemKind, path: string) =>
    removeItem(store, { kind: itemKind, id, path, sizeBytes: 0, used: 0 }, Number.MAX_SAFE_INTEGER);
  switch (kind) {
    case "blob":
      await remove("blob", `blobs/sha256/${id.slice("sha256:".length)}`);
      return;
    case "layer":
      await remove("step-layer", `layers/${id}`);
      return;
    case "index":
      await remove("index", keptIndexPath(id));
      return;
    case "unpacked":
      await remove("unpacked", `m/${id}`);
      return;
    case "record":
      store.database.prepare("DELETE FROM records WHERE id = ?").run(id);
      return;
    case "image":
      store.database.prepare("DELETE FROM containers WHERE config_digest = ?").run(id);
      removeImage(store, id as Digest);
      return;
    case "database":
      // Nothing that could be dropped.
      return;
  }
}

function listLayers(store: Store): Layer[] {
  const rows = store.database.prepare("SELECT id, kind, diff_id AS diffId FROM layers ORDER BY id").all();
  return (rows as { id: string; kind: "tar" | "directory"; diffId: Digest | null }[]).map(
    ({ id, kind, diffId }) => openStoredLayer(store, { id, kind, ...(diffId !== null && { diffId }) }),
  );
}

function hasLayer({ database }: Store, id: string): boolean {
  return database.prepare("SELECT 1 FROM layers WHERE id = ?").get(id) !== undefined;
}

const PARALLEL = 4;

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const take = async (): Promise<void> => {
    for (let item = queue.pop(); item !== undefined; item = queue.pop()) await work(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, take));
}
