import type { ImageAccess } from "../image/image-access.ts";
import { type Reclaimed, type ReclaimOptions, reclaim } from "../store/reclaim.ts";
import { listItems, listWork, type StoreItem } from "../store/store-items.ts";

/** Everything in the store, with what it takes on disk, and what processes are working on. */
export async function listStoreItems({ store }: ImageAccess): Promise<readonly StoreItem[]> {
  return [...(await listItems(store)), ...(await listWork(store))];
}

/** Which of what nobody needs goes; all that only costs space when nothing is said. */
export type PruneOptions = Omit<ReclaimOptions, "signal" | "ignoreOwn">;

/** Removes what no image with a name, no container and no running build needs. */
export function pruneStore({ store, signal }: ImageAccess, options: PruneOptions = {}): Promise<Reclaimed> {
  return reclaim(store, { ...options, signal });
}
