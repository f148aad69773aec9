import type { Store } from "./open-store.ts";

/*
 * Who keeps what from being reclaimed: whatever a process looks up in the store is marked as used then, and what was used since
 * the oldest living process began is never taken. The mark and the removal are both writes of the database, so one comes first:
 * a look-up that is too late finds nothing.
 */

/** The time that marks something as used now: not before the lease began, whatever the clock does. */
export function useTime({ lease }: Store): number {
  return Math.max(Date.now(), lease.started);
}

/** This process has marked it already, and its lease keeps it: no need to write again. */
export function isPinned({ lease }: Store, { used }: { readonly used: number }): boolean {
  return used >= lease.started;
}

/** Marks what has no row of its own, by its digest or its path in the store. Whoever looks whether it is there marks it before. */
export function markUsed(store: Store, name: string): void {
  store.database.prepare("INSERT OR REPLACE INTO uses VALUES (?, ?)").run(name, useTime(store));
}

/**
 * The time since which processes that live have used things: only what was last used before it may be taken. Dead leases must be
 * gone already. `ignoreOwn`: this process has what it needs.
 */
export function findKeepTime({ database, lease }: Store, { ignoreOwn = false } = {}): number {
  const row = database
    .prepare("SELECT min(started) AS started FROM leases WHERE id <> ?")
    .get(ignoreOwn ? lease.id : "");
  return (row?.started as number | null) ?? Number.MAX_SAFE_INTEGER;
}
