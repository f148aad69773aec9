import { setTimeout as sleep } from "node:timers/promises";
import { dropDeadLeases } from "./lease.ts";
import type { Store } from "./open-store.ts";

const POLL_MS = 50;

/** A lock that other processes and other users in this one respect; it is gone with its owner's lease. */
export type Lock = Disposable;

/** Takes the lock if it is free. */
export function tryLock(store: Store, name: string): Lock | undefined {
  const insert = store.database.prepare("INSERT OR IGNORE INTO locks VALUES (?, ?)");
  if (insert.run(name, store.lease.id).changes === 0) return undefined;
  return {
    [Symbol.dispose]() {
      store.database.prepare("DELETE FROM locks WHERE name = ? AND lease_id = ?").run(name, store.lease.id);
    },
  };
}

/** The lease of whoever holds the lock now. */
export function findLockOwner({ database }: Store, name: string): string | undefined {
  return database.prepare("SELECT lease_id AS id FROM locks WHERE name = ?").get(name)?.id as
    | string
    | undefined;
}

/** Waits for the lock, however long its owner lives; `onWait` is called again and again meanwhile. */
export async function acquireLock(
  store: Store,
  name: string,
  signal: AbortSignal,
  onWait?: () => void,
): Promise<Lock> {
  for (;;) {
    const lock = tryLock(store, name);
    if (lock !== undefined) return lock;
    onWait?.();
    await sleep(POLL_MS, undefined, { signal });
    dropDeadLeases(store.database);
  }
}
