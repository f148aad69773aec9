import { spawn } from "node:child_process";
import { once } from "node:events";
import type { DatabaseSync } from "node:sqlite";
import { inTransaction } from "./database.ts";
import type { Store } from "./open-store.ts";

/** Records first: a layer is written before its record, so whoever sees the record to mark it sees its layer, too. */
const TABLES = ["records", "layers", "materialised"] as const;

/**
 * Makes everything that is finished outlive a power loss: one sync of the store's file system, then the rows say so. A
 * kill needs none of this (the page cache survives it), so it runs once at the end of a build, not once a file.
 */
export async function makeDurable(store: Store): Promise<void> {
  const unsynced = TABLES.map((table) => ({
    table,
    rows: (
      store.database.prepare(`SELECT rowid AS id FROM ${table} WHERE durable = 0`).all() as { id: number }[]
    ).map((row) => row.id),
  }));
  if (unsynced.every(({ rows }) => rows.length === 0)) return;
  if (!(await syncFileSystem(store.root))) return;
  inTransaction(store.database, () => {
    for (const { table, rows } of unsynced) {
      const mark = store.database.prepare(`UPDATE ${table} SET durable = 1 WHERE rowid = ?`);
      for (const row of rows) mark.run(row);
    }
  });
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
