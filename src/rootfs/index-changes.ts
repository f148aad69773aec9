import { listDiskDirectory, readDiskEntry } from "./disk-entry.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { writeIndex } from "./index-writer.ts";
import type { Layer } from "./layer.ts";
import { implicitDirectory } from "./layer-entries.ts";
import { baseName, joinPath, ROOT } from "./rootfs-path.ts";
import { openUnionTree, type UnionTree } from "./union-tree.ts";

export interface ChangesRequest {
  /** Stays where it is, and is the layer's content. */
  readonly directory: string;
  readonly indexPath: string;
  readonly id: string;
  /** What the directory was when it was last saved, bottom first. */
  readonly base: readonly Layer[];
}

export interface IndexedChanges {
  readonly layer: Layer;
  readonly changeCount: number;
}

/**
 * Makes a layer of what a directory has that layers do not, and whiteouts of what it lacks. Files are compared by type, mode, owner, size
 * and time to the second; none is read. Links to one inode become files of their own; sockets and devices are left out.
 */
export function indexChanges(
  { directory, indexPath, id, base }: ChangesRequest,
  throwIfAborted: () => void = () => {},
): IndexedChanges {
  using tree = openUnionTree(base);
  let changeCount = 0;
  function* walk(parent: RootfsPath): Generator<Entry> {
    throwIfAborted();
    const before = tree.lookup(parent)?.entry.type === "directory" ? [...tree.list(parent)] : [];
    const here = new Set(listDiskDirectory(directory, parent));
    const gone = before.map(({ entry }) => baseName(entry.path)).filter((name) => !here.has(name));
    for (const name of [...here, ...gone].sort()) {
      const path = joinPath(parent, name);
      const found = here.has(name) ? readDiskEntry(directory, path)?.entry : undefined;
      if (found === undefined || !/^(?:file|directory|symlink)$/.test(found.type)) {
        if (here.has(name) && tree.lookup(path) === undefined) continue;
        changeCount++;
        const { implicit: _, ...nothing } = implicitDirectory(path);
        yield { ...nothing, type: "whiteout", mode: 0 };
        continue;
      }
      const isKnown = isSame(tree, found);
      if (!isKnown) changeCount++;
      // Every parent is listed, with what it is.
      if (!isKnown || found.type === "directory") yield found;
      if (found.type === "directory") yield* walk(path);
    }
  }
  writeIndex(
    indexPath,
    (function* () {
      yield implicitDirectory(ROOT);
      yield* walk(ROOT);
    })(),
  );
  return { layer: { id, indexPath, content: { kind: "directory", directoryPath: directory } }, changeCount };
}

function isSame(tree: UnionTree, now: Entry): boolean {
  const before = tree.lookup(now.path)?.entry;
  if (before === undefined || before.type !== now.type) return false;
  if (before.uid !== now.uid || before.gid !== now.gid) return false;
  if (now.type === "symlink") return before.linkTarget === now.linkTarget;
  if (before.mode !== now.mode) return false;
  return now.type === "directory" || (before.size === now.size && before.mtime === now.mtime);
}
