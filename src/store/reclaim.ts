import { inTransaction } from "./database.ts";
import { dropDeadLeases } from "./lease.ts";
import type { Store } from "./open-store.ts";
import { dropBareRecords } from "./records.ts";
import { removeItem } from "./remove-item.ts";
import { type ItemKind, listItems, type StoreItem } from "./store-items.ts";
import { findKeepTime } from "./use-time.ts";

export interface ReclaimOptions {
  /** Stop as soon as the whole store takes no more than this; everything that may go goes when absent. */
  readonly maxBytes?: number;
  /** Only what was last used before this time, in milliseconds since 1970. */
  readonly usedBefore?: number;
  /** Only these kinds, also where they only save time. */
  readonly kinds?: readonly ItemKind[];
  /** Only what has an id that begins like one of these; a digest's without `sha256:`. */
  readonly ids?: readonly string[];
  /** Also what only saves time: unpacked layers, kept indexes, cache mounts, git repositories, records without a layer. */
  readonly all?: boolean;
  /** This process has done its work: what it used may go, too. */
  readonly ignoreOwn?: boolean;
  readonly signal?: AbortSignal;
}

export interface Reclaimed {
  readonly items: readonly StoreItem[];
  readonly freedBytes: number;
  /** What the store takes then, without what living processes are working on: that is theirs, and gone soon. */
  readonly leftBytes: number;
}

const SAVES_TIME: ReadonlySet<ItemKind> = new Set(["unpacked", "index", "cache-mount", "git"]);

/**
 * Removes what nobody needs: never what a running process has looked up, nor what an image with a name or a container stands on.
 * What dead processes left goes first, then what can be made again from a blob, then what was least recently used.
 */
export async function reclaim(store: Store, options: ReclaimOptions): Promise<Reclaimed> {
  // A commit is on the disk before files go: a power loss must not bring back a row whose files are gone.
  store.database.exec("PRAGMA synchronous = FULL");
  try {
    return await removeUnneeded(store, options);
  } finally {
    store.database.exec("PRAGMA synchronous = NORMAL");
  }
}

async function removeUnneeded(store: Store, options: ReclaimOptions): Promise<Reclaimed> {
  const { maxBytes, usedBefore = Number.MAX_SAFE_INTEGER, ignoreOwn, signal } = options;
  const all = options.all || options.kinds !== undefined;
  dropDeadLeases(store.database);
  // The clock first, then the leases: who is not among these began later, and uses things later than this.
  const now = Date.now();
  const keepTime = Math.min(now, findKeepTime(store, { ignoreOwn }), usedBefore);
  const listed = maxBytes === undefined ? undefined : await listItems(store);
  if (listed !== undefined && totalBytes(listed) <= maxBytes!)
    return { items: [], freedBytes: 0, leftBytes: totalBytes(listed) };
  const dropped = dropNamelessImages(store, keepTime);
  // What is needed has changed with the images.
  const items = listed === undefined || dropped > 0 ? await listItems(store) : listed;
  let leftBytes = totalBytes(items);
  const removed: StoreItem[] = [];
  let freedBytes = 0;
  const remove = async (candidates: readonly StoreItem[]) => {
    for (const item of inOrder(candidates.filter((item) => isAskedFor(item, options)))) {
      if (maxBytes !== undefined && leftBytes <= maxBytes) break;
      if (item.neededBy !== undefined || item.kind === "database" || item.used >= keepTime) continue;
      if (maxBytes === undefined && !all && (SAVES_TIME.has(item.kind) || item.isSpool)) continue;
      signal?.throwIfAborted();
      const freed = await removeItem(store, item, keepTime);
      if (freed === 0) continue;
      removed.push(item);
      freedBytes += freed;
      leftBytes -= freed;
    }
  };
  const isIndex = ({ kind }: StoreItem) => kind === "index";
  await remove(items.filter((item) => !isIndex(item)));
  const mayTakeIndexes = maxBytes === undefined ? all : leftBytes > maxBytes;
  // Also those that the layers just left.
  if (mayTakeIndexes) await remove((await listItems(store)).filter(isIndex));
  const isEverything = options.all === true && options.kinds === undefined && options.ids === undefined;
  dropBareRecords(store, keepTime, { all: isEverything });
  return { items: removed, freedBytes, leftBytes };
}

function isAskedFor({ kind, id }: StoreItem, { kinds, ids }: ReclaimOptions): boolean {
  const name = id.replace(/^sha256:/, "");
  return (kinds?.includes(kind) ?? true) && (ids?.some((start) => name.startsWith(start)) ?? true);
}

/** Images without a name and a container: nobody can say what they mean but by their id. Returns how many. */
function dropNamelessImages({ database }: Store, keepTime: number): number {
  return inTransaction(database, () => {
    const { changes } = database
      .prepare(
        `DELETE FROM images WHERE created < :keep AND NOT EXISTS (SELECT 1 FROM tags WHERE tags.config_digest = images.config_digest)
         AND NOT EXISTS (SELECT 1 FROM containers WHERE containers.config_digest = images.config_digest)
         AND NOT EXISTS (SELECT 1 FROM uses WHERE uses.name = images.config_digest AND uses.used >= :keep)`,
      )
      .run({ keep: keepTime });
    return Number(changes);
  });
}

function inOrder(items: readonly StoreItem[]): StoreItem[] {
  const rank = ({ kind, isSpool }: StoreItem) => (kind === "leftover" ? 0 : isSpool ? 1 : 2);
  return [...items].sort((one, other) => rank(one) - rank(other) || one.used - other.used);
}

function totalBytes(items: readonly StoreItem[]): number {
  return items.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
