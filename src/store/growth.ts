import type { Store } from "./open-store.ts";

/** Whoever looks after the store's size hears at once what this process adds to it. */
export interface GrowthListener {
  /** Something has come to stay; `measure` says what it takes on disk, in bytes. */
  grew(measure: () => Promise<number>): void;
  /** Resolves when the store has been made to fit what has come, as far as that can be. */
  settled(): Promise<void>;
}

const listeners = new WeakMap<Store, GrowthListener>();

export function listenForGrowth(store: Store, listener: GrowthListener): void {
  listeners.set(store, listener);
}

export function tellGrowth(store: Store, measure: () => Promise<number>): void {
  listeners.get(store)?.grew(measure);
}

/** Waits until there is room for what this process has added; nothing to wait for where the store has no limit. */
export async function settleGrowth(store: Store): Promise<void> {
  await listeners.get(store)?.settled();
}
