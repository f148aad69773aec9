import type { Entry, RootfsPath } from "./entry.ts";
import type { Layer } from "./layer.ts";

/** A path of a union: what a reader of the mounted layers would see. Never a whiteout, never `implicit`. */
export interface TreeEntry {
  readonly entry: Entry;
  /** Position, in the union's layers, of the layer that the entry (and a file's bytes) come from. */
  readonly layer: number;
}

/** Where a regular file's bytes lie on disk. */
export interface FileSlice {
  readonly filePath: string;
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

export function openUnionTree(_layers: readonly Layer[]): UnionTree {
  throw new Error("not yet");
}
