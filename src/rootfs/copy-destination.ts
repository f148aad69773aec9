import { BuildError } from "../errors/build-error.ts";
import type { SelectedItem } from "./copy-request.ts";
import type { RootfsPath } from "./entry.ts";
import { directoriesOf } from "./make-workdir-layer.ts";
import { bytesFromText, joinPath, parentPath, pathToText, ROOT } from "./rootfs-path.ts";
import type { UnionTree } from "./union-tree.ts";

/** A directory that leads to what is copied, or that receives a directory's contents. */
export interface TouchedDirectory {
  /** It is not in the tree below. */
  readonly isNew: boolean;
  /** The time of the source directory whose contents it received. */
  readonly mtime?: number;
}

/**
 * Where the items of a COPY go, one after the other, as BuildKit's copy has it: a destination with a slash is a directory
 * and is made; a directory's contents go into the destination, which is made if it is missing and otherwise keeps mode and
 * owner; a file goes into a destination that is a directory, under its own name, and else becomes it. Symlinks on the way
 * and at the end are followed inside the root.
 */
export class CopyDestination {
  /** Every directory above what is written, and those that were made. */
  readonly touched = new Map<RootfsPath, TouchedDirectory>();
  readonly #tree: UnionTree;
  readonly #text: string;
  /** A leaf became the destination itself. */
  #isLeaf = false;

  constructor(tree: UnionTree, destination: string) {
    this.#tree = tree;
    this.#text = destination;
  }

  /**
   * The path that the item's own path (the empty one) becomes.
   * @throws BuildError `copy-failed` when something on the way is no directory.
   */
  place(item: SelectedItem): RootfsPath {
    const bytes = bytesFromText(this.#text);
    const isDirectory = /(^|\/)\.?$/.test(bytes);
    this.#makeDirectories(this.#resolve(isDirectory ? bytes : bytes.slice(0, bytes.lastIndexOf("/") + 1)));
    const destination = this.#resolve(bytes);
    if (item.kind === "directory") {
      if (this.#isLeaf) throw cannotReplace(destination, "a file that the same instruction copied");
      this.#makeDirectories(destination);
      this.#touch(destination, item.mtime);
      return destination;
    }
    const isInside = this.touched.get(destination)?.isNew || this.#typeBelow(destination) === "directory";
    const target = isInside ? joinPath(destination, item.name) : destination;
    if (!isInside) this.#isLeaf = true;
    this.#makeDirectories(parentPath(target));
    return target;
  }

  /** The directory that an archive is unpacked into; made if it is missing. */
  placeArchive(): RootfsPath {
    const destination = this.#resolve(bytesFromText(this.#text));
    if (this.#isLeaf) throw cannotReplace(destination, "a file that the same instruction copied");
    this.#makeDirectories(destination);
    return destination;
  }

  #resolve(bytes: string): RootfsPath {
    return this.#tree.resolve(bytes).path;
  }

  #typeBelow(path: RootfsPath) {
    return this.#tree.lookup(path)?.entry.type;
  }

  #makeDirectories(path: RootfsPath): void {
    for (const directory of directoriesOf(path)) {
      if (this.touched.has(directory)) continue;
      const type = this.#typeBelow(directory);
      if (type !== undefined && type !== "directory") throw cannotReplace(directory, `a ${type}`);
      this.touched.set(directory, { isNew: type === undefined });
    }
  }

  #touch(path: RootfsPath, mtime: number): void {
    if (path === ROOT) return;
    this.touched.set(path, { ...this.touched.get(path)!, mtime });
  }
}

function cannotReplace(path: RootfsPath, what: string): BuildError {
  return new BuildError("copy-failed", `Cannot copy into "${pathToText(path)}": it is ${what}, no directory`);
}
