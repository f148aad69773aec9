import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { tellGrowth } from "./growth.ts";
import { measurePath } from "./measure-path.ts";
import type { Store } from "./open-store.ts";
import { markUsed } from "./use-time.ts";

/*
 * Indexes outlive layers: when an image's layer is removed, its index stays, a few thousandths of its size, so that a COPY onto that
 * image needs not fetch it again to know what is there. And of a layer that only such a COPY asked about nothing else is made. They go when nothing else is left to remove, or all that saves time goes.
 */
export const KEPT_INDEXES = "indexes";

/** A RUN's layer has a name that nobody asks for. */
const LAYER_HEX = /^[0-9a-f]{64}$/;

/** Relative to the store. */
export function keptIndexPath(id: string): string {
  return `${KEPT_INDEXES}/${id}`;
}

/** Whether a kept index can be found by its layer. */
export function hasLayerName(id: string): boolean {
  return LAYER_HEX.test(id);
}

/** Keeps the index of a layer whose row is gone; returns its size on disk. Called with its directory still in place. */
export function keepIndex(store: Store, id: string): number {
  const from = join(store.layerPath(id), "index");
  if (!hasLayerName(id) || !existsSync(from)) return 0;
  const { blocks } = statSync(from);
  moveIndex(store, id, from);
  return blocks * 512;
}

/** Keeps the index, a finished temporary file, of a layer that is not here itself; returns where it is, marked as used. */
export function publishIndex(store: Store, id: string, path: string): string {
  const kept = join(store.root, keptIndexPath(id));
  // Before it is there: it cannot go first.
  markUsed(store, keptIndexPath(id));
  moveIndex(store, id, path);
  tellGrowth(store, () => measurePath(kept));
  return kept;
}

function moveIndex(store: Store, id: string, path: string): void {
  mkdirSync(join(store.root, KEPT_INDEXES), { recursive: true, mode: 0o700 });
  // A layer's row says whether it is on the disk; of an index its name says so.
  syncPath(path);
  renameSync(path, join(store.root, keptIndexPath(id)));
}

function syncPath(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** The path of an index that a layer left, marked as used. */
export function findKeptIndex(store: Store, id: string): string | undefined {
  const path = join(store.root, keptIndexPath(id));
  if (!existsSync(path)) return undefined;
  markUsed(store, keptIndexPath(id));
  // It may have gone before the mark.
  return existsSync(path) ? path : undefined;
}
