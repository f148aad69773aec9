import { createReadStream, createWriteStream } from "node:fs";
import { chmod, lchown, link, lstat, mkdir, rm, stat, symlink, utimes } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { BuildError } from "../errors/build-error.ts";
import type { Entry, RootfsPath } from "../rootfs/entry.ts";
import { loadLibc, S_IFBLK, S_IFCHR, S_IFIFO } from "../rootfs/libc.ts";
import { pathBelow, pathToText } from "../rootfs/rootfs-path.ts";
import type { TreeEntry, UnionTree } from "../rootfs/union-tree.ts";

export interface CopyOutRequest {
  /** What is copied. */
  readonly found: { readonly path: RootfsPath; readonly entry: TreeEntry };
  /** As the user wrote it: a trailing `/.` means what a directory holds. */
  readonly path: string;
  readonly destination: string;
  /** As in the tree, which takes root; else files belong to whoever copies. */
  readonly keepOwners: boolean;
  readonly signal: AbortSignal;
}

/**
 * Copies out of a tree to the disk with docker cp's rules: a file onto a name or into a directory; a directory into one that is
 * there, or as one that is not. Modes and mtimes stay, links stay links, what is in the way of a file is replaced.
 *
 * @throws BuildError `copy-failed`.
 */
export async function copyTreeOut(tree: UnionTree, request: CopyOutRequest): Promise<void> {
  const { found, signal } = request;
  const target = await chooseTarget(request);
  /** First copies of inodes with several names. */
  const linked = new Map<string, string>();
  /** Deepest last: writing into a directory changes its mtime, and its mode may forbid it. */
  const directories: { readonly path: string | Buffer; readonly entry: Entry }[] = [];
  for (const item of tree.walk(found.path)) {
    signal.throwIfAborted();
    const { entry } = item;
    const path = hostPath(target, pathBelow(entry.path, found.path));
    if (entry.type === "directory") {
      await makeDirectory(path, { mayBeLink: entry.path === found.path });
      directories.push({ path, entry });
      continue;
    }
    await rm(path, { recursive: true, force: true });
    const inode = entry.hardLinkOf === undefined ? undefined : `${item.layer} ${entry.hardLinkOf}`;
    const first = inode && linked.get(inode);
    if (first !== undefined) {
      await link(Buffer.from(first, "latin1"), path);
      continue;
    }
    if (inode !== undefined) linked.set(inode, Buffer.from(path).toString("latin1"));
    await writeOut(tree, item, { path, signal });
    await finish(path, entry, request.keepOwners);
  }
  for (const { path, entry } of directories.reverse()) await finish(path, entry, request.keepOwners);
}

/** Where the source itself goes. */
async function chooseTarget({ found, path, destination }: CopyOutRequest): Promise<string> {
  const refuse = (reason: string, hint?: string) =>
    new BuildError("copy-failed", `Cannot copy to "${destination}": ${reason}`, { hint });
  const isDirectory = found.entry.entry.type === "directory";
  const existing = await stat(destination).catch(() => undefined);
  if (existing?.isDirectory()) {
    if (isDirectory && (/(?:^|\/)\.$/.test(path) || found.path === "")) return destination;
    return join(destination, basename(pathToText(found.path)));
  }
  if (existing !== undefined) {
    if (isDirectory) throw refuse("it is a file, and the source is a directory");
    if (destination.endsWith("/")) throw refuse("it is no directory");
    return destination;
  }
  if (destination.endsWith("/") && !isDirectory) {
    throw refuse("there is no such directory", "Make it first, or leave the slash at the end away");
  }
  const parent = await stat(dirname(destination)).catch(() => undefined);
  if (!parent?.isDirectory()) throw refuse(`there is no directory "${dirname(destination)}"`);
  return destination;
}

/** A link in the way would lead elsewhere, so it goes; but not the one that the user named. */
async function makeDirectory(
  path: string | Buffer,
  { mayBeLink }: { readonly mayBeLink: boolean },
): Promise<void> {
  const existing = await (mayBeLink ? stat(path) : lstat(path)).catch(() => undefined);
  if (existing?.isDirectory()) return;
  if (existing !== undefined) await rm(path, { force: true });
  // Until its files are in it, only the copier may enter.
  await mkdir(path, { mode: 0o700 });
}

async function writeOut(
  tree: UnionTree,
  item: TreeEntry,
  { path, signal }: { readonly path: string | Buffer; readonly signal: AbortSignal },
): Promise<void> {
  const { entry } = item;
  switch (entry.type) {
    case "file": {
      const { filePath, offset, size } = tree.locate(item);
      const output = createWriteStream(path, { flags: "wx", mode: 0o600 });
      // A range of no bytes cannot be written with `end`.
      const input = size === 0 ? [] : createReadStream(filePath, { start: offset, end: offset + size - 1 });
      await pipeline(input, output, { signal });
      return;
    }
    case "symlink":
      await symlink(Buffer.from(entry.linkTarget!, "latin1"), path);
      return;
    case "fifo":
    case "char":
    case "block": {
      const type = { fifo: S_IFIFO, char: S_IFCHR, block: S_IFBLK }[entry.type];
      loadLibc().mknod(path, type | 0o600, { major: entry.deviceMajor ?? 0, minor: entry.deviceMinor ?? 0 });
      return;
    }
    case "directory":
    case "whiteout":
      throw new Error(`a ${entry.type} is not written here`);
  }
}

/** chown takes setuid bits away, so the mode comes after it, and the mtime last. */
async function finish(path: string | Buffer, entry: Entry, keepOwners: boolean): Promise<void> {
  if (keepOwners) await lchown(path, entry.uid, entry.gid);
  if (entry.type === "symlink") {
    loadLibc().lutimens(path, entry.mtime, entry.mtimeNs);
    return;
  }
  await chmod(path, entry.mode);
  await utimes(path, entry.mtime, entry.mtime);
}

/** Names in images need not be UTF-8. */
function hostPath(target: string, below: string): string | Buffer {
  if (below === "") return target;
  return Buffer.concat([Buffer.from(`${target}/`), Buffer.from(below, "latin1")]);
}
