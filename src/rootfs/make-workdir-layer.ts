import { BuildError } from "../errors/build-error.ts";
import type { WrittenLayer } from "./copy-request.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import type { Layer } from "./layer.ts";
import { LayerWriter } from "./layer-writer.ts";
import { newDirectory } from "./new-directory.ts";
import type { Owner } from "./resolve-owner.ts";
import { bytesFromText, parentPath, pathToText, ROOT } from "./rootfs-path.ts";
import { openUnionTree, type UnionTree } from "./union-tree.ts";
import { writeEntry, writeTarEnd } from "./write-entry.ts";

export interface WorkdirRequest {
  readonly base: readonly Layer[];
  /** Text, absolute and clean. */
  readonly path: string;
  /** The USER in force; absent where there is none. */
  readonly owner?: Owner;
  readonly layersDirectory: string;
  /** Seconds since 1970, of the directories that are made. */
  readonly mtime: number;
}

/**
 * The layer of a WORKDIR: what is missing of the path, mode 0755; an empty tar when the directory exists. Symlinks on the
 * way are followed inside the root.
 * @throws BuildError `copy-failed` when a part of the path is no directory.
 */
export function makeWorkdirLayer(request: WorkdirRequest): WrittenLayer {
  using tree = openUnionTree(request.base);
  using writer = new LayerWriter(request.layersDirectory);
  const { path, entry } = tree.resolve(bytesFromText(request.path));
  if (entry !== undefined && entry.entry.type !== "directory") {
    throw new BuildError(
      "copy-failed",
      `Cannot make the working directory "${request.path}": "${pathToText(path)}" exists and is no directory`,
    );
  }
  if (entry === undefined) {
    let parent = tree.lookup(ROOT)?.entry;
    for (const directory of directoriesOf(path)) {
      parent = existingDirectory(tree, directory) ?? newDirectory(directory, { ...request, parent });
      writeEntry(writer, parent);
    }
  }
  writeTarEnd(writer);
  return writer.finish();
}

/** The path and its parents but the root, outermost first. */
export function directoriesOf(path: RootfsPath): RootfsPath[] {
  const directories: RootfsPath[] = [];
  for (let at = path; at !== ROOT; at = parentPath(at)) directories.unshift(at);
  return directories;
}

/** A directory of the tree as a layer above lists it. */
function existingDirectory(tree: UnionTree, path: RootfsPath): Entry | undefined {
  const found = tree.lookup(path)?.entry;
  return found?.type === "directory" ? found : undefined;
}
