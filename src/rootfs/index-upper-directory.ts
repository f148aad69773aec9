import { randomBytes } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { BuildError } from "../errors/build-error.ts";
import { checkPathLength } from "./check-path-length.ts";
import { type DiskEntry, listDiskDirectory, readDiskEntry } from "./disk-entry.ts";
import { diskPath } from "./disk-path.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { writeIndex } from "./index-writer.ts";
import type { Layer } from "./layer.ts";
import { implicitDirectory } from "./layer-entries.ts";
import { type Libc, loadLibc } from "./libc.ts";
import { keptXattrs, readAllXattrs } from "./read-xattrs.ts";
import { joinPath, pathToText, ROOT } from "./rootfs-path.ts";
import { openUnionTree, type UnionTree } from "./union-tree.ts";

export interface UpperRequest {
  /** The overlay's upper directory; it stays where it is and becomes the layer's content. */
  readonly directory: string;
  /** Written there, atomically. */
  readonly indexPath: string;
  readonly id: string;
  /** The layers that the overlay had below, bottom first. */
  readonly base: readonly Layer[];
}

/**
 * Makes a layer of an overlay's upper directory by a walk over its metadata; no file is read. A device 0:0 is a whiteout,
 * an attribute says which directory is opaque (kernel: filesystems/overlayfs, "whiteouts and opaque directories");
 * overlay's own attributes and sockets are left out. Needs the privilege to read `trusted.*` attributes (or a user
 * namespace whose overlay has `userxattr`).
 * @param onLook for each path, before its attributes are read; may throw to stop
 * @throws BuildError `sandbox` when the overlay was mounted with `metacopy` or `redirect_dir`.
 */
export function indexUpperDirectory(
  request: UpperRequest,
  onLook: (found: DiskEntry) => void = () => {},
): Layer {
  const { directory, indexPath, id } = request;
  const temporaryPath = `${indexPath}.${randomBytes(9).toString("hex")}.tmp`;
  try {
    writeIndex(temporaryPath, walkUpper(request, onLook));
    renameSync(temporaryPath, indexPath);
  } finally {
    rmSync(temporaryPath, { force: true });
  }
  return { id, indexPath, content: { kind: "directory", directoryPath: directory } };
}

function* walkUpper({ directory, base }: UpperRequest, onLook: (found: DiskEntry) => void): Generator<Entry> {
  const libc = loadLibc();
  using tree = openUnionTree(base);
  /** Of files with several links: the first path of each inode. */
  const firstPaths = new Map<bigint, RootfsPath>();

  function* walk(parent: RootfsPath): Generator<Entry> {
    for (const name of listDiskDirectory(directory, parent)) {
      const path = joinPath(parent, name);
      checkPathLength(path);
      const found = readDiskEntry(directory, path);
      if (found === undefined) continue;
      onLook(found);
      let { entry } = found;
      if (entry.type === "char" && entry.deviceMajor === 0 && entry.deviceMinor === 0) {
        // A mount point that only the overlay had is not missed.
        if (tree.lookup(path) === undefined) continue;
        const { implicit: _, ...nothing } = implicitDirectory(path);
        yield { ...nothing, type: "whiteout", mode: 0 };
        continue;
      }
      entry = { ...entry, ...readUpperXattrs(libc, directory, path) };
      // The kernel also marks directories that hide nothing, or a link: in an archive the mark would reach through the link.
      if (entry.opaque && tree.lookup(path)?.entry.type !== "directory")
        entry = { ...entry, opaque: undefined };
      if (entry.type === "file" && found.stats.nlink > 1n) {
        const first = firstPaths.get(found.stats.ino) ?? path;
        firstPaths.set(found.stats.ino, first);
        entry = { ...entry, hardLinkOf: first };
      }
      yield entry;
      if (entry.type === "directory") yield* walk(path);
    }
  }

  const root = readDiskEntry(directory, ROOT)!;
  onLook(root);
  yield rootOf(root.entry, tree);
  yield* walk(ROOT);
}

/** The upper directory's own root is a change only when it differs from what is below. */
function rootOf(entry: Entry, tree: UnionTree): Entry {
  const below = tree.lookup(ROOT)!.entry;
  const isSame = below.mode === entry.mode && below.uid === entry.uid && below.gid === entry.gid;
  return isSame ? implicitDirectory(ROOT) : entry;
}

function readUpperXattrs(libc: Libc, directory: string, path: RootfsPath): Pick<Entry, "xattrs" | "opaque"> {
  const all = readAllXattrs(libc, asBytePath(diskPath(directory, path)));
  for (const prefix of ["trusted.overlay.", "user.overlay."]) {
    if (all[`${prefix}metacopy`] === undefined && all[`${prefix}redirect`] === undefined) continue;
    throw new BuildError(
      "sandbox",
      `Cannot keep what RUN wrote to "${pathToText(path)}": the overlay stored only a part of it (metacopy or redirect_dir)`,
    );
  }
  const opaque = all["trusted.overlay.opaque"] ?? all["user.overlay.opaque"];
  const xattrs = keptXattrs(all);
  return {
    ...(xattrs === undefined ? {} : { xattrs }),
    ...(opaque?.toString("latin1") === "y" ? { opaque: true } : {}),
  };
}

/** As `Libc` takes paths: its strings have one char a byte. */
export function asBytePath(path: string | Buffer): Uint8Array {
  return typeof path === "string" ? Buffer.from(path) : path;
}
