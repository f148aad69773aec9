import { inTransaction } from "./database.ts";
import type { Store } from "./open-store.ts";

/** The stored result of a step: the layer that it added. Its id is what enters the keys of the steps after it. */
export interface StepRecord {
  readonly id: string;
  readonly layerId: string;
  /** When the step ran, in milliseconds since 1970. */
  readonly created: number;
}

/** The record that `key` leads to, if its layer is still here. */
export function findRecord(store: Store, key: string): StepRecord | undefined {
  const row = store.database
    .prepare(
      `SELECT records.id AS id, records.layer_id AS layerId, records.created AS created FROM keys JOIN records ON records.id = keys.record_id
       JOIN layers ON layers.id = records.layer_id WHERE keys.key = ?`,
    )
    .get(key);
  return row as StepRecord | undefined;
}

/** Keeps a result under its keys. A key that another process has led to a record meanwhile keeps that one. */
export function writeRecord(
  store: Store,
  record: StepRecord,
  keys: readonly { key: string; parts: string }[],
): void {
  inTransaction(store.database, () => {
    store.database
      .prepare("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, 0, ?)")
      .run(record.id, record.layerId, record.created, record.created, store.lease.bootId);
    addKeys(store, record.id, keys);
  });
}

/** A further key for a record that exists: a step hit by its content. */
export function addKey(store: Store, record: StepRecord, key: string, parts: string): void {
  inTransaction(store.database, () => addKeys(store, record.id, [{ key, parts }]));
}

function addKeys(store: Store, recordId: string, keys: readonly { key: string; parts: string }[]): void {
  // A stale row (its layer is gone) must not stand in the way of the new result.
  const insert = store.database.prepare(
    "INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET record_id = excluded.record_id, parts = excluded.parts",
  );
  for (const { key, parts } of keys) insert.run(key, recordId, parts);
}
