import { BuildError } from "../errors/build-error.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import type { Layer } from "./layer.ts";
import { joinPath, pathBelow, pathToText, ROOT } from "./rootfs-path.ts";
import { openUnionTree, type TreeEntry, type UnionTree } from "./union-tree.ts";

/** A root file system that leaves as plain files. */
export interface ExportedTree {
  /** Bottom first. */
  readonly layers: readonly Layer[];
  /** For messages: `linux/amd64`. */
  readonly label: string;
  /** A directory of the output that it goes into, one name; the output itself when empty. */
  readonly directory: string;
}

export interface ExportTreesRequest {
  /** All with a directory of their own, or all without. */
  readonly trees: readonly ExportedTree[];
  /** Seconds since 1970, for everything; what the trees say when absent. */
  readonly mtime?: number;
}

/** What is written at one path of an output. */
export interface ExportedEntry {
  /** With the path in the output and the time that it gets there. */
  readonly entry: Entry;
  /** The same for all names of one file; absent for a file with one name. */
  readonly inode?: string;
  /** A regular file's bytes; a chunk is valid until the next one is asked for. */
  read(): Iterable<Uint8Array>;
}

/** Whoever opens it disposes it. */
export interface OpenedTrees extends Disposable {
  /**
   * Directories before what is in them, without the root; a directory that two trees have comes twice.
   *
   * @throws BuildError `output-failed` when two trees have different things at one path.
   */
  entries(): Iterable<ExportedEntry>;
  /** Whether the output has something there; `isDirectory` says whether it may hold more. */
  find(path: RootfsPath): { readonly isDirectory: boolean } | undefined;
}

/** @throws Error when a layer's index cannot be opened. */
export function openExportedTrees({ trees, mtime }: ExportTreesRequest): OpenedTrees {
  const opened: { readonly tree: UnionTree; readonly about: ExportedTree }[] = [];
  const close = () => {
    for (const { tree } of opened) tree[Symbol.dispose]();
  };
  try {
    for (const about of trees) opened.push({ tree: openUnionTree(about.layers), about });
  } catch (error) {
    close();
    throw error;
  }
  const withTime = (entry: Entry): Entry => (mtime === undefined ? entry : { ...entry, mtime, mtimeNs: 0 });

  function* entries(): Generator<ExportedEntry> {
    for (const [position, { tree, about }] of opened.entries()) {
      const top = about.directory as RootfsPath;
      if (top !== ROOT) yield { entry: withTime(platformDirectory(top)), read: () => [] };
      for (const item of tree.walk()) {
        const { entry } = item;
        if (entry.path === ROOT) continue;
        if (top === ROOT) refuseConflict(opened.slice(0, position), { item, label: about.label });
        yield {
          entry: withTime({ ...entry, path: joinPath(top, entry.path) }),
          ...(entry.hardLinkOf !== undefined && { inode: `${position} ${item.layer} ${entry.hardLinkOf}` }),
          read: () => tree.read(item),
        };
      }
    }
  }
  return {
    entries,
    find(path) {
      for (const { tree, about } of opened) {
        const top = about.directory as RootfsPath;
        if (path === top) return { isDirectory: true };
        if (top !== ROOT && !path.startsWith(`${top}/`)) continue;
        const found = tree.lookup(pathBelow(path, top));
        if (found !== undefined) return { isDirectory: found.entry.type === "directory" };
      }
      return undefined;
    },
    [Symbol.dispose]: close,
  };
}

function platformDirectory(path: RootfsPath): Entry {
  return { path, type: "directory", mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0, mtimeNs: 0 };
}

function refuseConflict(
  earlier: readonly { readonly tree: UnionTree; readonly about: ExportedTree }[],
  { item, label }: { readonly item: TreeEntry; readonly label: string },
): void {
  for (const { tree, about } of earlier) {
    const other = tree.lookup(item.entry.path)?.entry;
    if (other === undefined || (other.type === "directory" && item.entry.type === "directory")) continue;
    throw new BuildError(
      "output-failed",
      `Cannot overwrite "${pathToText(item.entry.path)}" from ${about.label} with ${label}: platform-split is off, and both have it`,
      { hint: "With platform-split=true each platform gets a directory of its own" },
    );
  }
}
