import { BuildError } from "../errors/build-error.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import type { Layer } from "./layer.ts";
import { walkView } from "./layer-view.ts";
import { keptXattrs } from "./read-xattrs.ts";
import type { Owner } from "./resolve-owner.ts";
import { resolvePath } from "./resolve-path.ts";
import { isWithin, joinPath, pathBelow, pathToText, ROOT } from "./rootfs-path.ts";
import type { SelectedEntry } from "./selection-file.ts";
import { openLayerOver, type UnionTree } from "./union-tree.ts";

export interface ArchivePlace {
  /** What `unpackArchive` made. */
  readonly layer: Layer;
  /** Tells the archives of one ADD apart. */
  readonly number: number;
  /** The directory that it is unpacked into, and the tree that this is in. */
  readonly place: RootfsPath;
  readonly tree: UnionTree;
  /** Of `--chown`. */
  readonly owner: Owner | undefined;
  /** For directories that the archive does not list. */
  readonly mtime: number;
}

/**
 * The members of an archive and where they go, as docker unpacks one: with the destination as the root, a directory that
 * the archive does not list and that is a symlink in the destination is followed.
 * @throws BuildError `copy-failed` for a hard link to what the archive does not have.
 */
export function* placeArchive(
  archive: ArchivePlace,
): Generator<{ readonly path: RootfsPath; readonly selected: SelectedEntry }> {
  const { place, tree, owner } = archive;
  using over = openLayerOver(archive.layer, []);
  const lookup = (path: RootfsPath) => tree.lookup(joinPath(place, path));
  /** Innermost last: the archive's directory and where it leads. */
  const redirects: { readonly from: RootfsPath; readonly to: RootfsPath }[] = [];
  for (const entry of walkView(over.view)) {
    if (entry.path === ROOT) continue;
    while (redirects.length > 0 && !isWithin(entry.path, redirects.at(-1)!.from)) redirects.pop();
    const redirect = redirects.at(-1);
    let path =
      redirect === undefined ? entry.path : joinPath(redirect.to, pathBelow(entry.path, redirect.from));
    if (entry.implicit && lookup(path)?.entry.type === "symlink") {
      // DIFFERS: where the symlink leads nowhere, the directory that it names is made; docker refuses.
      path = resolvePath(lookup, path, true).path;
      redirects.push({ from: entry.path, to: path });
      // What leads there may be no directory of the archive.
      for (const missing of parentsOf(path)) yield implied(archive, missing);
    }
    if (entry.foreignLink) {
      throw new BuildError(
        "copy-failed",
        `Cannot unpack "${pathToText(entry.path)}": it is a hard link to "${pathToText(entry.hardLinkOf!)}", which the archive does not have`,
      );
    }
    yield entry.implicit ? implied(archive, path) : unpacked(archive, { ...entry, ...owner }, path);
  }
}

function unpacked({ place, number }: ArchivePlace, entry: Entry, path: RootfsPath) {
  const { hardLinkOf, xattrs, ...written } = entry;
  const selected: SelectedEntry = {
    entry: xattrs === undefined ? written : { ...written, xattrs: keptXattrs(xattrs) },
    role: "unpacked",
    layer: number,
    dataPath: entry.path,
    ...(hardLinkOf === undefined ? {} : { inode: hardLinkOf }),
  };
  return { path: joinPath(place, path), selected };
}

function implied({ place, mtime }: ArchivePlace, path: RootfsPath) {
  const made = { type: "directory", mode: 0o755, uid: 0, gid: 0, size: 0, mtime, mtimeNs: 0 } as const;
  const selected: SelectedEntry = { entry: { ...made, path }, role: "implied", dataPath: path };
  return { path: joinPath(place, path), selected };
}

function parentsOf(path: RootfsPath): RootfsPath[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, depth) => parts.slice(0, depth + 1).join("/") as RootfsPath);
}
