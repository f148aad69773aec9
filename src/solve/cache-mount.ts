import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, chown, mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import type { RunMount, RunStep } from "../plan/plan.ts";
import type { CopyTree } from "../rootfs/copy-request.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { temporaryPath } from "../store/blobs.ts";
import { dropDeadLeases } from "../store/lease.ts";
import { acquireLock, type Lock, tryLock } from "../store/locks.ts";
import { removeItem } from "../store/remove-item.ts";
import { removeTree } from "../store/remove-tree.ts";
import { namesIn, type StoreItem } from "../store/store-items.ts";
import { findKeepTime, markUsed } from "../store/use-time.ts";
import { asRootfs, type SolveContext } from "./solve-plan.ts";
import { loadLayers } from "./step-record.ts";

/** Of a cache mount that says nothing. */
const DEFAULT_MODE = 0o755;

const FOLDER = "cache-mounts";

/** How directories are called that no build will find any more. */
const ASIDE = "aside-";

export type CacheMount = Extract<RunMount, { type: "cache" }>;

interface WantedCache {
  readonly mount: CacheMount;
  /** As docker has it: a cache with a mode or owner of its own begins empty in a build that uses no cache, and goes on from there. */
  readonly beginsAnew: boolean;
}

/** A cache mount's directory, held until it is disposed. */
interface OpenCacheMount extends Disposable {
  readonly directory: string;
}

/** The directories of a RUN's cache mounts, held until they are disposed. */
export interface OpenCacheMounts extends Disposable {
  directoryOf(mount: CacheMount): string;
}

/**
 * Opens the cache mounts of one RUN. All RUNs wait for theirs in the same order, so that no two wait for each other; a cache that
 * is mounted twice is taken once.
 */
export async function openCacheMounts(
  { mounts, ignoreCache = false }: Pick<RunStep, "mounts" | "ignoreCache">,
  context: SolveContext,
): Promise<OpenCacheMounts> {
  using held = new DisposableStack();
  const directories = new Map<string, string>();
  const caches = mounts.filter((mount): mount is CacheMount => mount.type === "cache");
  for (const mount of caches.toSorted((one, other) => (nameCache(one) < nameCache(other) ? -1 : 1))) {
    const name = nameCache(mount);
    if (directories.has(name)) continue;
    const wanted = { mount, beginsAnew: ignoreCache && hasOwnForm(mount) };
    directories.set(name, held.use(await openCacheMount(wanted, context)).directory);
  }
  const kept = held.move();
  return {
    directoryOf: (mount) => directories.get(nameCache(mount))!,
    [Symbol.dispose]: () => kept.dispose(),
  };
}

/** Whether a cache that begins with the files of a stage or image has not begun. */
export function isSeedMissing(mount: CacheMount, { access: { store } }: SolveContext): boolean {
  return mount.from !== undefined && !existsSync(join(store.root, FOLDER, nameCache(mount)));
}

/** An id may hold anything. A cache with a seed, or a mode or owner of its own, is another one than the same id without. */
function nameCache(mount: CacheMount): string {
  const seed = mount.from === undefined ? "" : `\0${mount.source ?? ""}`;
  const form = hasOwnForm(mount) ? `\0${mount.mode}:${mount.uid}:${mount.gid}` : "";
  return createHash("sha256").update(`${mount.id}${seed}${form}`).digest("hex");
}

function hasOwnForm({ mode, uid, gid }: CacheMount): boolean {
  return mode !== DEFAULT_MODE || uid !== 0 || gid !== 0;
}

/**
 * Puts aside what a cache holds, once in a build; called under the lock that whoever opens it takes. What a living process may have
 * mounted is deleted by a later call, or by a prune, when all that live now have ended.
 */
async function beginAnew(name: string, { access: { store }, begunAnew }: SolveContext): Promise<void> {
  if (begunAnew.has(name)) return;
  begunAnew.add(name);
  dropDeadLeases(store.database);
  const keepTime = findKeepTime(store);
  for (const id of await namesIn(store, FOLDER)) {
    if (id !== name && !id.startsWith(ASIDE)) continue;
    const item: StoreItem = { kind: "cache-mount", id, path: `${FOLDER}/${id}`, sizeBytes: 0, used: 0 };
    await removeItem(store, item, keepTime);
  }
  const directory = join(store.root, FOLDER, name);
  if (!existsSync(directory)) return;
  const aside = `${FOLDER}/${ASIDE}${randomUUID()}`;
  markUsed(store, aside);
  await rename(directory, join(store.root, aside));
}

/**
 * Opens the directory of a cache mount; it lives as long as the store. `shared` is used by anybody at once; `locked` waits for
 * its turn, also for another process's; `private` takes another copy when all are in use.
 */
async function openCacheMount(wanted: WantedCache, context: SolveContext): Promise<OpenCacheMount> {
  const { store, signal } = context.access;
  const { mount } = wanted;
  const name = nameCache(mount);
  switch (mount.sharing) {
    case "shared":
      return held(await makeDirectory(name, wanted, context), undefined);
    case "locked": {
      const lock = await acquireLock(store, `cache ${name}`, signal);
      return held(await makeDirectory(name, wanted, context), lock);
    }
    case "private":
      for (let copy = 0; ; copy++) {
        const copyName = copy === 0 ? name : `${name}-${copy}`;
        const lock = tryLock(store, `cache ${copyName}`);
        if (lock !== undefined) return held(await makeDirectory(copyName, wanted, context), lock);
      }
  }
}

function held(directory: string, lock: Lock | undefined): OpenCacheMount {
  return { directory, [Symbol.dispose]: () => lock?.[Symbol.dispose]() };
}

async function makeDirectory(
  name: string,
  { mount, beginsAnew }: WantedCache,
  context: SolveContext,
): Promise<string> {
  const { store } = context.access;
  const parent = join(store.root, FOLDER);
  const directory = join(parent, name);
  await mkdir(parent, { recursive: true, mode: 0o700 });
  // Made aside and then renamed, so that nobody sees it without its owner or its seed.
  const fresh = temporaryPath(store);
  try {
    using _lock = await acquireLock(store, `make ${name}`, context.access.signal);
    if (beginsAnew) await beginAnew(name, context);
    markUsed(store, `${FOLDER}/${name}`);
    context.ledger?.addMount({ id: mount.id, name, directory });
    if (existsSync(directory)) return directory;
    const saved = context.imports?.mounts.get(name);
    if (mount.from === undefined || saved !== undefined) {
      await mkdir(fresh);
      await chown(fresh, mount.uid, mount.gid);
      await chmod(fresh, mount.mode);
      if (saved !== undefined) {
        const layers = await Promise.all(saved.map((layer) => layer.load()));
        await writeTree(fresh, { tree: { kind: "layers", layers }, path: "/" }, context);
      }
    } else await writeSeed(fresh, mount, context);
    await rename(fresh, directory);
    return directory;
  } finally {
    await removeTree(fresh);
  }
}

/** A cache that begins with the files of a stage or image: a copy of them, unpacked. */
async function writeSeed(directory: string, mount: CacheMount, context: SolveContext): Promise<void> {
  const solved = await context.solve(mount.from!);
  const tree: CopyTree =
    solved.kind === "files"
      ? await solved.open()
      : { kind: "layers", layers: await loadLayers(asRootfs(solved)) };
  await writeTree(directory, { tree, path: mount.source ?? "/" }, context);
}

/** Writes files of a tree into a directory, with their owners and times. */
async function writeTree(
  directory: string,
  { tree, path }: { readonly tree: CopyTree; readonly path: string },
  context: SolveContext,
): Promise<void> {
  const { store, work, signal } = context.access;
  await using selection = await work.selectCopy(
    {
      sources: [{ kind: "path", tree, path }],
      destination: "/",
      link: true,
      temporaryDirectory: store.temporaryDirectory,
    },
    { signal },
  );
  const { layer } = await storeWrittenLayer(store, (layersDirectory) =>
    work.writeCopyLayer({ selection, base: [], layersDirectory }, { signal }),
  );
  await work.materialiseLayer({ layer, below: [], directory }, { signal });
}
