import { inTransaction } from "./database.ts";
import type { Store } from "./open-store.ts";
import { isPinned, useTime } from "./use-time.ts";

/** The stored result of a step: the layer that it added. Its id is what enters the keys of the steps after it. */
export interface StepRecord {
  readonly id: string;
  readonly layerId: string;
  /** When the step ran, in milliseconds since 1970. */
  readonly created: number;
}

/** What is left of a record whose layer was removed. It leads the keys of later steps on, as if the layer were here. */
export type BareRecord = Omit<StepRecord, "layerId">;

/** How many bare records are kept: those that were used last. */
const MOST_BARE = 2_000;

/** The record that `key` leads to, if its layer is still here. */
export function findRecord(store: Store, key: string): StepRecord | undefined {
  const record = lookUp(store, key);
  if (record !== undefined && isPinned(store, record)) return record;
  if (record === undefined) return undefined;
  // It may go between the look and the mark, so the mark decides.
  const { changes } = store.database
    .prepare("UPDATE records SET used = ? WHERE id = ?")
    .run(useTime(store), record.id);
  return changes === 0 ? undefined : lookUp(store, key);
}

/** The record that `key` leads to, if its layer was removed. */
export function findBareRecord(store: Store, key: string): BareRecord | undefined {
  const row = store.database
    .prepare(
      `UPDATE records SET used = ? WHERE layer_id = '' AND id = (SELECT record_id FROM keys WHERE key = ?) RETURNING id, created`,
    )
    .get(useTime(store), key);
  return row as BareRecord | undefined;
}

/** Within the transaction that removes a layer. */
export function makeRecordsBare({ database }: Store, layerId: string): void {
  database
    .prepare("DELETE FROM logs WHERE record_id IN (SELECT id FROM records WHERE layer_id = ?)")
    .run(layerId);
  database.prepare("UPDATE records SET layer_id = '' WHERE layer_id = ?").run(layerId);
}

/** For a result whose files do not fit to those below it. Its layer stays until it is reclaimed. */
export function makeRecordBare(store: Store, id: string): void {
  inTransaction(store.database, () => {
    store.database.prepare("DELETE FROM logs WHERE record_id = ?").run(id);
    store.database.prepare("UPDATE records SET layer_id = '' WHERE id = ?").run(id);
  });
}

/** Removes bare records that were last used before `keepTime`: all of them, or those beyond a fixed number. */
export function dropBareRecords(
  { database }: Store,
  keepTime: number,
  { all }: { readonly all: boolean },
): void {
  database
    .prepare(
      `DELETE FROM records WHERE layer_id = '' AND used < :keep AND id NOT IN
       (SELECT id FROM records WHERE layer_id = '' ORDER BY used DESC LIMIT :most)`,
    )
    .run({ keep: keepTime, most: all ? 0 : MOST_BARE });
}

function lookUp(store: Store, key: string): (StepRecord & { readonly used: number }) | undefined {
  const row = store.database
    .prepare(
      `SELECT records.id AS id, records.layer_id AS layerId, records.created AS created, records.used AS used FROM keys JOIN records ON records.id = keys.record_id
       JOIN layers ON layers.id = records.layer_id WHERE keys.key = ?`,
    )
    .get(key);
  return row as (StepRecord & { readonly used: number }) | undefined;
}

/** Keeps a result under its keys. A key that another process has led to a record meanwhile keeps that one. */
export function writeRecord(
  store: Store,
  record: StepRecord,
  keys: readonly { key: string; parts: string }[],
): void {
  inTransaction(store.database, () => {
    store.database
      .prepare(
        `INSERT INTO records VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (id) DO UPDATE SET layer_id = excluded.layer_id,
         created = excluded.created, used = excluded.used, durable = 0, boot_id = excluded.boot_id`,
      )
      .run(record.id, record.layerId, record.created, useTime(store), store.lease.bootId);
    addKeys(store, record.id, keys);
  });
}

/** A further key for a record that exists: a step hit by its content. */
export function addKey(store: Store, record: BareRecord, key: string, parts: string): void {
  inTransaction(store.database, () => addKeys(store, record.id, [{ key, parts }]));
}

/** The keys that lead to a record, the newest first. */
export function findKeys({ database }: Store, recordId: string, count: number): string[] {
  const rows = database
    .prepare("SELECT key FROM keys WHERE record_id = ? ORDER BY rowid DESC LIMIT ?")
    .all(recordId, count);
  return rows.map(({ key }) => String(key));
}

function addKeys(store: Store, recordId: string, keys: readonly { key: string; parts: string }[]): void {
  // A stale row (its layer is gone) must not stand in the way of the new result.
  const insert = store.database.prepare(
    "INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET record_id = excluded.record_id, parts = excluded.parts",
  );
  for (const { key, parts } of keys) insert.run(key, recordId, parts);
}
