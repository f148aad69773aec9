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
