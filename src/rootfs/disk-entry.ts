import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from "node:fs";
import { diskPath } from "./disk-path.ts";
import type { Entry, RootfsPath } from "./entry.ts";

/** What `lstat` and `readlink` tell of a path. `hardLinkOf` is not filled. */
export interface DiskEntry {
  readonly entry: Entry;
  readonly stats: BigIntStats;
  readonly filePath: string | Buffer;
}

/** Undefined for a socket, which no layer has, unless it is to be taken as an empty file (as BuildKit sends contexts). */
export function readDiskEntry(
  directory: string,
  path: RootfsPath,
  options: { readonly socketIsFile?: boolean } = {},
): DiskEntry | undefined {
  const filePath = diskPath(directory, path);
  const stats = lstatSync(filePath, { bigint: true });
  const second = 1_000_000_000n;
  // Rounds down for times before 1970.
  const nanoseconds = ((stats.mtimeNs % second) + second) % second;
  const common = {
    path,
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: 0,
    mtime: Number((stats.mtimeNs - nanoseconds) / second),
    mtimeNs: Number(nanoseconds),
  };
  const found = (entry: Entry): DiskEntry => ({ entry, stats, filePath });
  if (stats.isDirectory()) return found({ ...common, type: "directory" });
  if (stats.isFile()) return found({ ...common, type: "file", size: Number(stats.size) });
  if (stats.isSymbolicLink()) {
    const linkTarget = readlinkSync(filePath, { encoding: "latin1" });
    return found({ ...common, type: "symlink", linkTarget });
  }
  if (stats.isFIFO()) return found({ ...common, type: "fifo" });
  if (stats.isSocket()) return options.socketIsFile ? found({ ...common, type: "file" }) : undefined;
  return found({
    ...common,
    // DIFFERS: a block device stays one.
    type: stats.isCharacterDevice() ? "char" : "block",
    deviceMajor: Number(((stats.rdev >> 8n) & 0xfffn) | ((stats.rdev >> 32n) & ~0xfffn)),
    deviceMinor: Number((stats.rdev & 0xffn) | ((stats.rdev >> 12n) & 0xffffff00n)),
  });
}

/** Names of a directory on disk, one char a byte, in byte order. */
export function listDiskDirectory(directory: string, path: RootfsPath): string[] {
  return readdirSync(diskPath(directory, path), { encoding: "latin1" }).sort();
}
