import type { WrittenLayer } from "./copy-request.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import type { Layer } from "./layer.ts";
import { LayerWriter } from "./layer-writer.ts";
import { ROOT } from "./rootfs-path.ts";
import { openUnionTree, type TreeEntry, type UnionTree } from "./union-tree.ts";
import { writeEntry, writeTarEnd } from "./write-entry.ts";

export interface SquashRequest {
  /** All layers of a root file system, bottom first. */
  readonly layers: readonly Layer[];
  /** How many of them, from the bottom, stay as they are. */
  readonly kept: number;
  readonly layersDirectory: string;
}

/**
 * One layer in place of all above those that are kept: what they add without what they hide from each other, and a whiteout for each
 * path of the kept ones that is gone.
 */
export function squashLayers(
  { layers, kept, layersDirectory }: SquashRequest,
  throwIfAborted: () => void = () => {},
): WrittenLayer {
  using writer = new LayerWriter(layersDirectory);
  using tree = openUnionTree(layers);
  using below = openUnionTree(layers.slice(0, kept));
  const linked = new Map<string, RootfsPath>();
  for (const item of tree.walk()) {
    throwIfAborted();
    const { entry, layer } = item;
    if (entry.path === ROOT ? !isSaid(entry) : !isAbove(item, below, kept)) continue;
    const inode = entry.hardLinkOf === undefined ? undefined : `${layer} ${entry.hardLinkOf}`;
    const first = inode === undefined ? undefined : (linked.get(inode) ?? entry.path);
    if (inode !== undefined) linked.set(inode, first!);
    writeEntry(writer, first === undefined ? entry : { ...entry, hardLinkOf: first }, tree.read(item));
  }
  if (kept > 0)
    for (const path of removedPaths(tree, below, throwIfAborted)) writeEntry(writer, whiteout(path));
  writeTarEnd(writer);
  return writer.finish();
}

/** The root is listed where it is another than the one that every image has without saying so. */
function isSaid({ mode, uid, gid, xattrs }: Entry): boolean {
  return mode !== 0o755 || uid !== 0 || gid !== 0 || xattrs !== undefined;
}

/** A hard link to a file of a kept layer shows that file's layer, but is new where it stands. */
function isAbove({ entry, layer, dataPath }: TreeEntry, below: UnionTree, kept: number): boolean {
  if (layer >= kept) return true;
  return dataPath !== undefined && below.lookup(entry.path)?.dataPath !== dataPath;
}

/** The topmost paths that were there and are not; what is below something that is no directory now is gone with it. */
function* removedPaths(tree: UnionTree, below: UnionTree, throwIfAborted: () => void): Generator<RootfsPath> {
  function* walk(directory: RootfsPath): Generator<RootfsPath> {
    throwIfAborted();
    for (const { entry } of below.list(directory)) {
      const now = tree.lookup(entry.path)?.entry;
      if (now === undefined) yield entry.path;
      else if (now.type === "directory" && entry.type === "directory") yield* walk(entry.path);
    }
  }
  yield* walk(ROOT);
}

function whiteout(path: RootfsPath): Entry {
  return { path, type: "whiteout", mode: 0, uid: 0, gid: 0, size: 0, mtime: 0, mtimeNs: 0 };
}
