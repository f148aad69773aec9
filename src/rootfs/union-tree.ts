import type { Entry, RootfsPath } from "./entry.ts";
import type { Layer } from "./layer.ts";
import { LayerFiles } from "./layer-files.ts";
import { LayerView } from "./layer-view.ts";
import { LayeredTree } from "./layered-tree.ts";

/** A path of a union: what a reader of the mounted layers would see. Never a whiteout, never `implicit`. */
export interface TreeEntry {
  /** Files with the same `hardLinkOf` and the same `layer` are one inode. */
  readonly entry: Entry;
  /** Position, in the union's layers, of the layer that the entry (and a file's bytes) come from. */
  readonly layer: number;
  /** The path of the bytes in that layer, where it is another than the entry's. */
  readonly dataPath?: RootfsPath;
}

/** Where a regular file's bytes lie on disk. */
export interface FileSlice {
  /** A buffer when the name is not UTF-8. */
  readonly filePath: string | Buffer;
  readonly offset: number;
  readonly size: number;
}

/** What a path leads to once the symlinks on its way are followed inside the root. */
export interface ResolvedPath {
  /** Without symlinks in any component but, unless it was followed, the last one. */
  readonly path: RootfsPath;
  /** Absent when nothing is there. */
  readonly entry?: TreeEntry;
}

/**
 * The view of layers, bottom first, as one tree: whiteouts and opaque directories hide what is below them. All calls are
 * synchronous and small; memory does not grow with the number of entries. Whoever opens it disposes it.
 */
export interface UnionTree extends Disposable {
  readonly layers: readonly Layer[];
  /** The entry at exactly this path, like `lstat` without following any symlink. The root is always there. */
  lookup(path: RootfsPath): TreeEntry | undefined;
  /** The direct children of a directory, in byte order; nothing for what is no directory. */
  list(directory: RootfsPath): Iterable<TreeEntry>;
  /** Everything at and below a path, in the order of an index (`comparePaths`). */
  walk(prefix?: RootfsPath): Iterable<TreeEntry>;
  /**
   * Follows symlinks as a process in a chroot would, absolute ones from the root.
   * What is missing on the way is taken as it stands. `path` is a byte string and may hold `.` and `..`.
   * @throws BuildError `copy-failed` on a loop of links (more than 255) or a component that is no directory.
   */
  resolve(path: string, options?: { readonly followLast?: boolean }): ResolvedPath;
  /** Where a regular file's bytes are: stream it with `createReadStream`, or use `read`. */
  locate(entry: TreeEntry): FileSlice;
  /** A regular file's bytes, in chunks of at most 256 KiB. A chunk is valid until the next one is asked for. */
  read(entry: TreeEntry): Iterable<Uint8Array>;
  /** A small regular file as a whole. @throws BuildError `input-limit` above `limitBytes` (1 MiB by default). */
  readWhole(entry: TreeEntry, limitBytes?: number): Buffer;
}

/** @throws Error when an index cannot be opened. */
export function openUnionTree(layers: readonly Layer[]): UnionTree {
  return openLayeredTree(layers);
}

/** The upper layers of an image as a tree that says only what no layer below can change. */
export interface UpperTree extends UnionTree {
  /** Whether no layer below shows anything in this directory. */
  isClosed(directory: RootfsPath): boolean;
}

/**
 * The tree of an image of which only the upper layers are here, bottom first. `lookup` and `resolve` throw `Unsettled` for what the
 * layers below may decide: a path is settled when the topmost entry that lists it is here, or when a whiteout, an opaque directory or
 * a file hides all that could be below. `list` and `walk` tell only what is here.
 * @throws Unsettled when the layers below may lead what is here elsewhere (`layer-view.ts`).
 */
export function openUpperTree(layers: readonly Layer[]): UpperTree {
  return openLayeredTree(layers, { isUpper: true });
}

function openLayeredTree(layers: readonly Layer[], { isUpper = false } = {}): LayeredTree {
  const views: LayerView[] = [];
  const files = new LayerFiles();
  try {
    for (const layer of layers) {
      const view = new LayerView(layer);
      views.push(view);
      addRedirects({ view, views, files, isUpper });
    }
  } catch (error) {
    for (const view of views) view[Symbol.dispose]();
    throw error;
  }
  return new LayeredTree(views, { files, isOwner: true, isUpper });
}

/** One layer as the layers below it make it look, and those layers as a tree. */
export interface LayerOverTree extends Disposable {
  readonly view: LayerView;
  readonly below: UnionTree;
  /** The bytes of a regular file that the view has. */
  read(entry: Entry): Iterable<Uint8Array>;
}

/** Whoever opens it disposes it; `below` is not to be disposed by itself. */
export function openLayerOver(layer: Layer, below: readonly Layer[]): LayerOverTree {
  const tree = openLayeredTree([...below, layer]);
  const views = tree.views;
  return {
    view: views.at(-1)!,
    below: tree.lower(views.length - 1),
    read: (entry) => tree.read({ entry, layer: views.length - 1 }),
    [Symbol.dispose]: () => tree[Symbol.dispose](),
  };
}

/** See `LayerView`. `views` are the layers up to and with this one. */
function addRedirects({
  view,
  views,
  files,
  isUpper,
}: {
  readonly view: LayerView;
  readonly views: readonly LayerView[];
  readonly files: LayerFiles;
  readonly isUpper: boolean;
}): void {
  if (!isUpper && (view.index.joints.length === 0 || views.length === 1)) {
    if (!view.index.joints.some((joint) => view.index.lookup(joint)?.type === "symlink")) return;
  }
  const shared = { files, isOwner: false, isUpper };
  const below = new LayeredTree(views.slice(0, -1), shared);
  for (const joint of view.index.joints) {
    const seen = view.seenAt(joint);
    const own = view.index.lookup(joint)!;
    const linked = own.type === "symlink" ? own : below.lookup(seen)?.entry;
    if (linked?.type !== "symlink") continue;
    // The link is its own layer's or a lower one's; what it leads through may be either's.
    const tree = own.type === "symlink" ? new LayeredTree(views, shared) : below;
    view.addRedirect({ from: joint, to: tree.resolve(seen).path, movesItself: own.type !== "symlink" });
  }
}
