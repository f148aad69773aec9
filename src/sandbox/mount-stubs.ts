import { mkdirSync, writeFileSync } from "node:fs";
import { chmod, lchown, utimes } from "node:fs/promises";
import type { RootfsPath } from "../rootfs/entry.ts";
import { parentPath, pathFromText } from "../rootfs/rootfs-path.ts";
import type { UnionTree } from "../rootfs/union-tree.ts";

export interface MountTarget {
  /** Text, absolute in the container. */
  readonly path: string;
  readonly kind: "directory" | "file";
}

interface Stub {
  readonly path: RootfsPath;
  readonly kind: "directory" | "file";
}

/**
 * Makes the mount points that the tree lacks, in `directory`, which then is the topmost *lower* directory: so they are
 * there to be mounted on, and nothing of them is in the upper directory afterwards. A directory that the tree has and that
 * a stub lies in is repeated with its metadata, for an overlay shows the topmost one's.
 */
export async function makeMountStubs(
  tree: UnionTree,
  targets: readonly MountTarget[],
  directory: string,
): Promise<void> {
  const stubs = targets.flatMap((target) => findStub(tree, target, targets));
  const repeated = new Set<RootfsPath>([pathFromText("/")]);
  const made = new Set<RootfsPath>();
  for (const { path, kind } of stubs) {
    for (let parent = parentPath(path); ; parent = parentPath(parent)) {
      if (tree.lookup(parent)) repeated.add(parent);
      else made.add(parent);
      if (parent === "") break;
    }
    if (kind === "directory") made.add(path);
  }
  // A parent sorts before what is in it.
  for (const path of [...repeated, ...made].sort())
    mkdirSync(onDisk(directory, path), { recursive: true, mode: 0o755 });
  for (const { path, kind } of stubs) if (kind === "file") writeFileSync(onDisk(directory, path), "");
  for (const path of repeated) await copyMetadata(tree, path, directory);
}

/** Nothing for a target that is there, or that lies in another mount, whose file system will have it. */
function findStub(tree: UnionTree, target: MountTarget, all: readonly MountTarget[]): Stub[] {
  const { path, entry } = tree.resolve(pathFromText(target.path), { followLast: true });
  if (entry !== undefined) return [];
  const isCovered = all.some(
    (other) =>
      other.kind === "directory" &&
      other !== target &&
      `/${path}`.startsWith(`${other.path.replace(/\/+$/, "")}/`),
  );
  return isCovered ? [] : [{ path, kind: target.kind }];
}

async function copyMetadata(tree: UnionTree, path: RootfsPath, directory: string): Promise<void> {
  const found = tree.lookup(path);
  if (found === undefined) return;
  const { uid, gid, mode, mtime } = found.entry;
  const target = onDisk(directory, path);
  await lchown(target, uid, gid);
  await chmod(target, mode);
  await utimes(target, mtime, mtime);
}

function onDisk(directory: string, path: RootfsPath): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, "latin1")]);
}
