import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { inTransaction } from "./database.ts";
import type { Store } from "./open-store.ts";
import { syncPath } from "./sync-path.ts";

const TABLES = ["records", "layers", "materialised"] as const;

/** So long the kernel may take its time to write what can be had again. */
const WRITTEN_SOON_MS = 60_000;

/** So many files at most are synced one by one, where much else has not been written yet that nobody waits for. */
const MOST_FILES = 64;

interface UnsyncedLayer {
  readonly id: string;
  readonly created: number;
  readonly canFetch: 0 | 1;
}

/**
 * Makes what is finished outlive a power loss: syncs it, then the rows say so. A kill needs none of this (the page cache survives it),
 * so it runs once at the end of a build, not once a file. Layers that a registry has are not waited for: a later call, when the
 * kernel has written them, finds little to do.
 */
export async function makeDurable(store: Store): Promise<void> {
  const { database } = store;
  const layers = findUnsyncedLayers(store);
  const recent = new Set(layers.filter(isComingSoon).map(({ id }) => id));
  const wanted = layers.map(({ id }) => id).filter((id) => !recent.has(id));
  const directories = findUnsyncedMaterialised(store);
  const needsAll =
    directories.some(({ layerId }) => !recent.has(layerId)) ||
    (wanted.length > 0 && (recent.size === 0 || !(await syncLayers(store, wanted))));
  if (needsAll && !(await syncFileSystem(store.root))) return;
  const synced = needsAll
    ? { layers: layers.map(({ id }) => id), directories }
    : { layers: wanted, directories: [] };
  const isSynced = "durable = 0 AND (layer_id = '' OR layer_id IN (SELECT id FROM layers WHERE durable = 1))";
  const record = database.prepare(`SELECT 1 FROM records WHERE ${isSynced} LIMIT 1`).get();
  if (synced.layers.length + synced.directories.length === 0 && record === undefined) return;
  inTransaction(database, () => {
    const markLayer = database.prepare("UPDATE layers SET durable = 1 WHERE id = ?");
    for (const id of synced.layers) markLayer.run(id);
    const markDirectory = database.prepare("UPDATE materialised SET durable = 1 WHERE name = ?");
    for (const { name } of synced.directories) markDirectory.run(name);
    database.exec(`UPDATE records SET durable = 1 WHERE ${isSynced}`);
  });
}

function findUnsyncedLayers({ database }: Store): UnsyncedLayer[] {
  return database
    .prepare(
      `SELECT id, created, EXISTS (SELECT 1 FROM blob_origins WHERE blob_origins.diff_id = layers.diff_id) AS canFetch
       FROM layers WHERE durable = 0`,
    )
    .all() as unknown as UnsyncedLayer[];
}

function isComingSoon({ canFetch, created }: UnsyncedLayer): boolean {
  return canFetch === 1 && created > Date.now() - WRITTEN_SOON_MS;
}

function findUnsyncedMaterialised({
  database,
}: Store): { readonly name: number; readonly layerId: string }[] {
  return database
    .prepare("SELECT name, layer_id AS layerId FROM materialised WHERE durable = 0")
    .all() as unknown as { name: number; layerId: string }[];
}

/** False when they are many files, or cannot be opened: then only the file system as a whole can be synced. */
async function syncLayers(store: Store, ids: readonly string[]): Promise<boolean> {
  const paths: (string | Buffer)[] = [dirname(store.layerPath(ids[0]!))];
  try {
    for (const id of ids) {
      for await (const path of walk(Buffer.from(store.layerPath(id)))) {
        if (paths.push(path) > MOST_FILES) return false;
      }
    }
    await Promise.all(paths.map(syncPath));
    return true;
  } catch {
    return false;
  }
}

/** Regular files and directories; to sync a directory is to sync what else is in it. */
async function* walk(directory: Buffer): AsyncGenerator<Buffer> {
  yield directory;
  for (const entry of await readdir(directory, { withFileTypes: true, encoding: "buffer" })) {
    const path = Buffer.concat([directory, Buffer.from("/"), entry.name]);
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}

/** coreutils' `sync -f` is syncfs(2); false where there is no such program. */
async function syncFileSystem(path: string): Promise<boolean> {
  const child = spawn("sync", ["-f", path], { stdio: "ignore" });
  try {
    const [code] = await once(child, "exit");
    return code === 0;
  } catch {
    return false;
  }
}

/** After another boot nobody knows which bytes of an unsynced row reached the disk: forget them. Their files go unused. */
export function dropUnsyncedRows(database: DatabaseSync, bootId: string): void {
  const count = TABLES.map(
    (table) => `(SELECT count(*) FROM ${table} WHERE durable = 0 AND boot_id <> :boot)`,
  ).join(" + ");
  const { lost } = database.prepare(`SELECT ${count} AS lost`).get({ boot: bootId }) as { lost: number };
  if (lost === 0) return;
  inTransaction(database, () => {
    for (const table of TABLES) {
      database.prepare(`DELETE FROM ${table} WHERE durable = 0 AND boot_id <> ?`).run(bootId);
    }
  });
}
