import { existsSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { temporaryPath } from "./blobs.ts";
import { inTransaction } from "./database.ts";
import { keepIndex } from "./kept-indexes.ts";
import { forgetSize } from "./measure-path.ts";
import type { Store } from "./open-store.ts";
import { makeRecordsBare } from "./records.ts";
import { removeTree } from "./remove-tree.ts";
import { hasRow, type StoreItem } from "./store-items.ts";

/**
 * Removes a part of the store, unless somebody has used it at `keepTime` or later. Rows go first, in one transaction; then the files
 * are moved aside, in another that looks again whether they have a row (somebody may have made the same anew); then they are
 * deleted. A process that is killed between leaves files that no row leads to, never a row without files.
 *
 * @returns the bytes that are free now.
 */
export async function removeItem(store: Store, item: StoreItem, keepTime: number): Promise<number> {
  const paths = dropRows(store, item, keepTime);
  if (paths.length === 0) return 0;
  let keptBytes = 0;
  const aside = inTransaction(store.database, () =>
    paths.flatMap((path) => {
      const isKnown = /^(?:layers|m)\//.test(path) && hasRow(store, path);
      if (isKnown) return [];
      if (item.kind === "image-layer" && path === item.path) keptBytes = keepIndex(store, item.id);
      return moveAside(store, path) ?? [];
    }),
  );
  for (const path of aside) await removeTree(path);
  return aside.length === 0 ? 0 : item.sizeBytes - keptBytes;
}

/** Returns the paths that nothing leads to any more. */
function dropRows(store: Store, item: StoreItem, keepTime: number): string[] {
  const { database } = store;
  return inTransaction(database, () => {
    switch (item.kind) {
      case "step-layer":
      case "image-layer":
        return dropLayer(store, item, keepTime);
      case "unpacked": {
        const { changes } = database
          .prepare("DELETE FROM materialised WHERE name = ? AND used < ?")
          .run(Number.parseInt(item.id, 36), keepTime);
        return changes === 0 ? [] : forgetSizes(store, [item.path]);
      }
      case "git": {
        const { changes } = database
          .prepare("DELETE FROM git_repositories WHERE name = ? AND used < ?")
          .run(item.id, keepTime);
        return changes === 0 ? [] : [item.path];
      }
      case "blob":
      case "index":
      case "cache-mount":
        return dropMarked(store, item, keepTime);
      case "leftover":
        return [item.path];
      case "database":
      case "temporary":
        return [];
    }
  });
}

/** A layer goes with its unpacked forms; the records that led to it stay, bare. */
function dropLayer(store: Store, { id, path }: StoreItem, keepTime: number): string[] {
  const { database } = store;
  const isUsed = database
    .prepare(
      `SELECT 1 WHERE EXISTS (SELECT 1 FROM layers WHERE id = :id AND used >= :keep)
       OR EXISTS (SELECT 1 FROM records WHERE layer_id = :id AND used >= :keep)
       OR EXISTS (SELECT 1 FROM materialised WHERE layer_id = :id AND used >= :keep)`,
    )
    .get({ id, keep: keepTime });
  if (isUsed !== undefined) return [];
  const names = database.prepare("SELECT name FROM materialised WHERE layer_id = ?").all(id);
  database.prepare("DELETE FROM materialised WHERE layer_id = ?").run(id);
  makeRecordsBare(store, id);
  database.prepare("DELETE FROM layers WHERE id = ?").run(id);
  return forgetSizes(store, [path, ...names.map(({ name }) => `m/${(name as number).toString(36)}`)]);
}

/**
 * What has no row is moved in the transaction that sees its mark: whoever wants it marks it first, and then looks whether it is there.
 */
function dropMarked(store: Store, { kind, id, path }: StoreItem, keepTime: number): string[] {
  const { database } = store;
  const mark = kind === "blob" ? id : path;
  const row = database.prepare("SELECT used FROM uses WHERE name = ?").get(mark);
  const made = statSync(join(store.root, path), { throwIfNoEntry: false })?.ctimeMs;
  // A cache mount's own times say nothing: its files come and go.
  const used = Math.max((row?.used as number | undefined) ?? 0, kind === "blob" ? (made ?? 0) : 0);
  if (made === undefined || used >= keepTime) return [];
  database.prepare("DELETE FROM uses WHERE name = ?").run(mark);
  const aside = moveAside(store, path);
  return aside === undefined ? [] : [aside.slice(store.root.length + 1)];
}

function forgetSizes(store: Store, paths: string[]): string[] {
  for (const path of paths) forgetSize(store, path);
  return paths;
}

function moveAside(store: Store, path: string): string | undefined {
  const from = join(store.root, path);
  if (!existsSync(from)) return undefined;
  const to = temporaryPath(store);
  try {
    renameSync(from, to);
  } catch (error) {
    // What a dead process left in tmp/ is removed by every process that begins, too, in no transaction.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return to;
}
