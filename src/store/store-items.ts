import { statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../oci/digest.ts";
import { findNeeds, type Needs } from "./find-needs.ts";
import { KEPT_INDEXES } from "./kept-indexes.ts";
import { measureKept, measurePath } from "./measure-path.ts";
import type { Store } from "./open-store.ts";

/**
 * What the store is made of: a step's or an image's layer, an unpacked layer, a blob, the
 * index of an image's layer that is gone, a cache mount, a git remote's repository; a
 * leftover that no row knows; the database; what processes are working on.
 */
export type ItemKind =
  | "step-layer"
  | "image-layer"
  | "unpacked"
  | "blob"
  | "index"
  | "cache-mount"
  | "git"
  | "leftover"
  | "database"
  | "temporary";

export interface StoreItem {
  readonly kind: ItemKind;
  /** A layer's id, a blob's digest, a name. */
  readonly id: string;
  /** Relative to the store. */
  readonly path: string;
  /** On disk. */
  readonly sizeBytes: number;
  /** When it was last used, in milliseconds since 1970. */
  readonly used: number;
  /** The name of an image, or a container, that cannot do without it. */
  readonly neededBy?: string;
  /** It can be made again from a blob that is here. */
  readonly isSpool?: boolean;
  /** The record that leads to a step's layer says what it came from. */
  readonly parts?: string;
}

/** Everything in the store but what living processes are working on, with what it takes on disk. */
export async function listItems(store: Store): Promise<StoreItem[]> {
  const needs = findNeeds(store);
  return [
    ...(await listLayers(store, needs)),
    ...(await listUnpacked(store)),
    ...(await listBlobs(store, needs)),
    ...(await listDirectories(store, { kind: "index", folder: KEPT_INDEXES })),
    ...(await listDirectories(store, { kind: "cache-mount", folder: "cache-mounts" })),
    ...(await listDirectories(store, { kind: "git", folder: "git" })),
    ...(await listLeftovers(store)),
    await listDatabase(store),
  ];
}

/** What living processes are working on: their temporary directories. */
export function listWork(store: Store): Promise<StoreItem[]> {
  return listOf(store, "tmp", (path) => hasRow(store, path) && { kind: "temporary", used: Date.now() });
}

async function listLayers(store: Store, { diffIds, spools }: Needs): Promise<StoreItem[]> {
  const rows = store.database
    .prepare(
      `SELECT layers.id AS id, layers.diff_id AS diffId, max(layers.used, coalesce(max(records.used), 0)) AS used,
       count(records.id) AS records, (SELECT parts FROM keys WHERE record_id = records.id LIMIT 1) AS parts
       FROM layers LEFT JOIN records ON records.layer_id = layers.id GROUP BY layers.id`,
    )
    .all() as unknown as readonly {
    readonly id: string;
    readonly diffId: Digest | null;
    readonly used: number;
    readonly records: number;
    readonly parts: string | null;
  }[];
  const items: StoreItem[] = [];
  for (const { id, diffId, used, records, parts } of rows) {
    const path = `layers/${id}`;
    const neededBy = diffId === null ? undefined : diffIds.get(diffId);
    items.push({
      kind: records > 0 ? "step-layer" : "image-layer",
      id,
      path,
      used,
      sizeBytes: await measureKept(store, path),
      ...(neededBy !== undefined && { neededBy }),
      ...(records === 0 &&
        neededBy === undefined &&
        diffId !== null &&
        spools.has(diffId) && { isSpool: true }),
      ...(parts !== null && { parts }),
    });
  }
  return items;
}

async function listUnpacked(store: Store): Promise<StoreItem[]> {
  const rows = store.database.prepare("SELECT name, used FROM materialised").all() as unknown as readonly {
    readonly name: number;
    readonly used: number;
  }[];
  const items: StoreItem[] = [];
  for (const { name, used } of rows) {
    const path = `m/${name.toString(36)}`;
    items.push({
      kind: "unpacked",
      id: name.toString(36),
      path,
      used,
      sizeBytes: await measureKept(store, path),
    });
  }
  return items;
}

async function listBlobs(store: Store, { blobs }: Needs): Promise<StoreItem[]> {
  const items: StoreItem[] = [];
  for (const hex of await readdir(join(store.root, "blobs/sha256"))) {
    const digest: Digest = `sha256:${hex}`;
    const stats = statSync(store.blobPath(digest), { throwIfNoEntry: false });
    if (stats === undefined) continue;
    const neededBy = blobs.get(digest);
    items.push({
      kind: "blob",
      id: digest,
      path: `blobs/sha256/${hex}`,
      sizeBytes: stats.blocks * 512,
      used: findUse(store, digest) ?? Math.floor(stats.ctimeMs),
      ...(neededBy !== undefined && { neededBy }),
    });
  }
  return items;
}

async function listDirectories(
  store: Store,
  { kind, folder }: { readonly kind: "index" | "cache-mount" | "git"; readonly folder: string },
): Promise<StoreItem[]> {
  const items: StoreItem[] = [];
  for (const id of await namesIn(store, folder)) {
    const path = `${folder}/${id}`;
    const used = kind === "git" ? findGitUse(store, id) : findUse(store, path);
    items.push({
      kind,
      id,
      path,
      sizeBytes: await measurePath(join(store.root, path)),
      used: used ?? 0,
    });
  }
  return items;
}

/** Directories that a killed process had published half, or whose removal it had begun, and its temporary one. */
async function listLeftovers(store: Store): Promise<StoreItem[]> {
  const describe = (path: string) => !hasRow(store, path) && ({ kind: "leftover", used: 0 } as const);
  const listed = ["layers", "m", "tmp"].map((folder) => listOf(store, folder, describe));
  return (await Promise.all(listed)).flat();
}

async function listOf(
  store: Store,
  folder: string,
  describe: (path: string) => false | Pick<StoreItem, "kind" | "used">,
): Promise<StoreItem[]> {
  const items: StoreItem[] = [];
  for (const id of await namesIn(store, folder)) {
    const path = `${folder}/${id}`;
    const described = describe(path);
    if (!described) continue;
    items.push({ ...described, id, path, sizeBytes: await measurePath(join(store.root, path)) });
  }
  return items;
}

/** Whether a directory of layers/, m/ or tmp/ is known. */
export function hasRow({ database }: Store, path: string): boolean {
  const [folder, id = ""] = path.split("/");
  if (folder === "layers") return database.prepare("SELECT 1 FROM layers WHERE id = ?").get(id) !== undefined;
  if (folder === "tmp") return database.prepare("SELECT 1 FROM leases WHERE id = ?").get(id) !== undefined;
  const name = Number.parseInt(id, 36);
  return database.prepare("SELECT 1 FROM materialised WHERE name = ?").get(name) !== undefined;
}

async function listDatabase(store: Store): Promise<StoreItem> {
  let sizeBytes = 0;
  for (const name of [
    "db.sqlite",
    "db.sqlite-wal",
    "db.sqlite-shm",
    "file-digests.sqlite",
    "file-digests.sqlite-wal",
    "packed-blocks.sqlite",
    "packed-blocks.sqlite-wal",
  ])
    sizeBytes += await measurePath(join(store.root, name));
  return { kind: "database", id: "db.sqlite", path: "db.sqlite", sizeBytes, used: Date.now() };
}

function findUse({ database }: Store, name: string): number | undefined {
  return database.prepare("SELECT used FROM uses WHERE name = ?").get(name)?.used as number | undefined;
}

function findGitUse({ database }: Store, name: string): number | undefined {
  return database.prepare("SELECT used FROM git_repositories WHERE name = ?").get(name)?.used as
    | number
    | undefined;
}

/** What is in a directory of the store, sorted; nothing when it was never made. */
export async function namesIn({ root }: Store, folder: string): Promise<string[]> {
  try {
    return (await readdir(join(root, folder))).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
