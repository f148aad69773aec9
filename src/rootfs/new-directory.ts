import type { Entry, RootfsPath } from "./entry.ts";
import type { Owner } from "./resolve-owner.ts";

export interface NewDirectoryOptions {
  /** The directory that it lies in. */
  readonly parent: Entry | undefined;
  /** Permission bits. */
  readonly mode?: number;
  /** Absent: nobody was named, so it is root's, in the group that the directory above gives. */
  readonly owner?: Owner;
  /** Seconds since 1970. */
  readonly mtime: number;
}

/**
 * A directory as mkdir(2) makes it, and chown(2) where an owner was named: in a directory with setgid it has setgid, too,
 * and that one's group (inode(7)). BuildKit makes what is missing on the way to a destination by these calls.
 */
export function newDirectory(
  path: RootfsPath,
  { parent, mode = 0o755, owner, mtime }: NewDirectoryOptions,
): Entry {
  const inherited = (parent?.mode ?? 0) & 0o2000;
  const { uid, gid } = owner ?? { uid: 0, gid: inherited ? parent!.gid : 0 };
  return { path, type: "directory", mode: mode | inherited, uid, gid, size: 0, mtime, mtimeNs: 0 };
}
