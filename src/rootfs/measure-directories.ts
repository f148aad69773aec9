import type { RootfsPath } from "./entry.ts";
import { ownBytes } from "./find-hidden.ts";
import { isWithin } from "./rootfs-path.ts";
import type { TreeEntry } from "./union-tree.ts";

/** All that is below a directory, at any depth. */
export interface DirectorySize {
  readonly path: RootfsPath;
  readonly sizeBytes: number;
  readonly fileCount: number;
}

/**
 * The sizes of all directories of a walk (`UnionTree.walk`), inner ones before what they are in. Holds only the directories on the way
 * to the current entry.
 */
export function* measureDirectories(entries: Iterable<TreeEntry>): Generator<DirectorySize> {
  const open: { path: RootfsPath; sizeBytes: number; fileCount: number }[] = [];
  const close = (): DirectorySize => {
    const closed = open.pop()!;
    const parent = open.at(-1);
    if (parent !== undefined) {
      parent.sizeBytes += closed.sizeBytes;
      parent.fileCount += closed.fileCount;
    }
    return closed;
  };
  for (const { entry } of entries) {
    while (open.length > 0 && !isWithin(entry.path, open.at(-1)!.path)) yield close();
    if (entry.type === "directory") open.push({ path: entry.path, sizeBytes: 0, fileCount: 0 });
    else {
      const parent = open.at(-1);
      if (parent === undefined) continue;
      parent.sizeBytes += ownBytes(entry);
      parent.fileCount++;
    }
  }
  while (open.length > 0) yield close();
}
