import type { Digest } from "../oci/digest.ts";
import { inTransaction } from "./database.ts";
import type { Store } from "./open-store.ts";

/** A container that was created and never runs: a name for an image's file system, to copy from. */
export interface StoredContainer {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly configDigest: Digest;
  readonly created: number;
}

/** @returns false when the name is taken. */
export function writeContainer(store: Store, container: StoredContainer): boolean {
  const { id, name, configDigest, created } = container;
  const insert = store.database.prepare("INSERT OR IGNORE INTO containers VALUES (?, ?, ?, ?)");
  return inTransaction(store.database, () => insert.run(id, name, configDigest, created).changes > 0);
}

/** By name, by id or by the beginning of an id. */
export function findContainer(store: Store, nameOrId: string): StoredContainer | undefined {
  const row = store.database
    .prepare(
      `SELECT id, name, config_digest AS configDigest, created FROM containers
       WHERE name = :key OR (length(:key) >= 4 AND substr(id, 1, length(:key)) = :key) ORDER BY name = :key DESC`,
    )
    .get({ key: nameOrId });
  return row as StoredContainer | undefined;
}

export function listContainers(store: Store): StoredContainer[] {
  return store.database
    .prepare("SELECT id, name, config_digest AS configDigest, created FROM containers ORDER BY created DESC")
    .all() as unknown as StoredContainer[];
}

export function removeContainer(store: Store, id: string): void {
  inTransaction(store.database, () => store.database.prepare("DELETE FROM containers WHERE id = ?").run(id));
}
