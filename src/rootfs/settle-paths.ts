import { BuildError } from "../errors/build-error.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { IndexReader } from "./index-reader.ts";
import type { Layer } from "./layer.ts";
import { implicitDirectory } from "./layer-entries.ts";
import { resolvePath } from "./resolve-path.ts";
import { bytesFromText, cleanPath, parentPath, ROOT } from "./rootfs-path.ts";

/*
 * What may be said of a path when only the upper layers of an image are here. A path is settled when, whatever the layers
 * below hold, its meaning cannot change: for every component of its way, symlinks followed, the topmost entry that lists
 * it is here, or a whiteout, an opaque directory or a file hides all that could be below. A directory that is copied must
 * hide what is below it besides. Where a layer has entries under a directory that it does not list, lower layers may lead
 * them elsewhere (`layer-view.ts`); then nothing is settled until one that is here lists a directory there.
 */

/** What it still takes: nothing, the next layer perhaps, or all of them (a directory lets through what is below). */
export type LayersNeeded = "none" | "next" | "all";

export interface SettlePathsRequest {
  /** The upper layers of an image, bottom first. */
  readonly layers: readonly Layer[];
  /** As in a COPY, without wildcards: text, absolute. */
  readonly paths: readonly string[];
}

/** How many more layers it takes until every path is settled. */
export function settlePaths({ layers, paths }: SettlePathsRequest): LayersNeeded {
  using indexes = new DisposableStack();
  const topFirst = layers.map((layer) => indexes.use(new IndexReader(layer.indexPath))).reverse();
  if (!topFirst.every((index, at) => areJointsDirectories(index, topFirst.slice(at + 1)))) return "next";
  let needed: LayersNeeded = "none";
  for (const path of paths) {
    const own = settle(topFirst, cleanPath(bytesFromText(path)));
    if (own === "next") return "next";
    if (own === "all") needed = "all";
  }
  return needed;
}

/** Whether what the layer has under directories that it does not list lies where it says. */
function areJointsDirectories(index: IndexReader, below: readonly IndexReader[]): boolean {
  return index.joints.every((joint) => {
    if (index.lookup(joint)?.type === "symlink") return false;
    const { isSettled, entry } = look(below, joint);
    return isSettled && (entry === undefined || entry.type === "directory");
  });
}

function settle(topFirst: readonly IndexReader[], path: RootfsPath, followLast = true): LayersNeeded {
  let isOpen = false;
  const lookup = (at: RootfsPath) => {
    const seen = look(topFirst, at);
    isOpen ||= !seen.isSettled;
    return isOpen || seen.entry === undefined ? undefined : { entry: seen.entry, seen };
  };
  try {
    const { path: resolved, entry: node } = resolvePath(lookup, path, followLast);
    if (isOpen) return "next";
    // It is missing, and no lower layer has it.
    if (node === undefined) return "none";
    const { entry, seen } = node;
    if (entry.type === "directory") {
      return seen.isClosed && !topFirst.some((index) => hasForeignLinkIn(index, resolved)) ? "none" : "all";
    }
    // A hard link to what a lower layer has.
    if (entry.foreignLink) return settle(topFirst.slice(seen.at + 1), entry.hardLinkOf!, false);
    return "none";
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    // What leads nowhere does so whatever is below, when all of it was settled.
    return isOpen ? "next" : "none";
  }
}

function hasForeignLinkIn(index: IndexReader, directory: RootfsPath): boolean {
  if (!index.hasForeignLinks) return false;
  for (const { foreignLink } of index.scan(directory)) if (foreignLink) return true;
  return false;
}

interface Seen {
  /** No layer below the given ones can change what is there. */
  readonly isSettled: boolean;
  /** Absent when nothing is there, or nobody knows yet. */
  readonly entry?: Entry;
  /** Which of the given layers has the entry. */
  readonly at: number;
  /** No layer below the given ones shows anything in this directory. */
  readonly isClosed: boolean;
}

interface Shown {
  /** The layers, top first, that show something in a directory. */
  readonly layers: readonly number[];
  readonly isClosed: boolean;
}

/** What layers, top first, have at exactly this path. */
function look(topFirst: readonly IndexReader[], path: RootfsPath): Seen {
  if (path === ROOT) return { isSettled: true, entry: implicitDirectory(ROOT), at: 0, isClosed: false };
  const parent = showDirectory(topFirst, parentPath(path));
  let top: { readonly entry: Entry; readonly at: number } | undefined;
  let isListed = false;
  for (const at of parent.layers) {
    const entry = topFirst[at]!.lookup(path);
    if (entry === undefined) continue;
    top ??= { entry, at };
    isListed = !entry.implicit;
    if (isListed) break;
  }
  const isSettled = isListed || parent.isClosed;
  if (top === undefined || top.entry.type === "whiteout") return { isSettled, at: -1, isClosed: isSettled };
  return { isSettled, ...top, isClosed: showDirectory(topFirst, path).isClosed };
}

function showDirectory(topFirst: readonly IndexReader[], directory: RootfsPath): Shown {
  const above =
    directory === ROOT
      ? { layers: topFirst.map((_, at) => at), isClosed: false }
      : showDirectory(topFirst, parentPath(directory));
  const layers: number[] = [];
  for (const at of above.layers) {
    const entry = topFirst[at]!.lookup(directory);
    if (entry === undefined) continue;
    if (entry.type !== "directory") return { layers, isClosed: true };
    layers.push(at);
    if (entry.opaque) return { layers, isClosed: true };
  }
  return { layers, isClosed: above.isClosed };
}
