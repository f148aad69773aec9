import { BuildError } from "../errors/build-error.ts";
import type { RootfsPath } from "../rootfs/entry.ts";
import { parentPath, pathFromText } from "../rootfs/rootfs-path.ts";
import type { UnionTree } from "../rootfs/union-tree.ts";
import type { MountStub } from "./holder-protocol.ts";

export interface MountTarget {
  /** Text, absolute in the container. */
  readonly path: string;
  readonly kind: "directory" | "file";
}

/**
 * The mount points that the tree lacks, for a directory that then is the topmost *lower* one: so they are there to be mounted
 * on, and nothing of them is in the upper directory afterwards. A directory that the tree has and that a stub lies in is
 * repeated with its metadata, for an overlay shows the topmost one's. Parents come first.
 *
 * @throws BuildError `run-failed` for a file that would be mounted on a directory, or the other way round.
 */
export function findMountStubs(tree: UnionTree, targets: readonly MountTarget[]): MountStub[] {
  const stubs = new Map<RootfsPath, MountStub>();
  for (const { path, kind } of targets.flatMap((target) => findMissing(tree, target, targets))) {
    stubs.set(path, { path, kind, mode: kind === "directory" ? 0o755 : 0o644, uid: 0, gid: 0 });
    for (let parent = parentPath(path); parent !== ""; parent = parentPath(parent)) {
      const found = tree.lookup(parent)?.entry;
      const { mode = 0o755, uid = 0, gid = 0, mtime, xattrs } = found ?? {};
      stubs.set(parent, { path: parent, kind: "directory", mode, uid, gid, mtime, xattrs });
    }
  }
  // A parent sorts before what is in it.
  return [...stubs.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Nothing for a target that is there, or that lies in another mount, whose file system will have it. */
function findMissing(
  tree: UnionTree,
  target: MountTarget,
  all: readonly MountTarget[],
): { readonly path: RootfsPath; readonly kind: MountTarget["kind"] }[] {
  const { path, entry } = tree.resolve(pathFromText(target.path), { followLast: true });
  const isCovered = all.some(
    (other) =>
      other.kind === "directory" &&
      other !== target &&
      `/${path}`.startsWith(`${other.path.replace(/\/+$/, "")}/`),
  );
  if (isCovered) return [];
  if (entry === undefined) return [{ path, kind: target.kind }];
  const isDirectory = entry.entry.type === "directory";
  if (isDirectory !== (target.kind === "directory")) {
    throw new BuildError(
      "run-failed",
      `Cannot mount a ${target.kind} on "${target.path}": the image has a ${isDirectory ? "directory" : "file"} there`,
    );
  }
  return [];
}
