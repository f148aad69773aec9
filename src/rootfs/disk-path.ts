import { closeSync, constants, openSync } from "node:fs";
import type { RootfsPath } from "./entry.ts";
import { ROOT } from "./rootfs-path.ts";

/** Linux takes no longer path in one call (PATH_MAX, without the NUL), however deep a file may lie. */
export const PATH_MAX = 4095;
/** Of `constants`, which Node leaves out: a descriptor that only names a directory. */
const O_PATH = 0o10000000;
/** How many descriptors stay open: one call names two paths at most. */
const HELD_MAX = 16;

/** Oldest first. */
const held: number[] = [];

/**
 * A path on disk; a buffer where text would not name it. One that is too long for the kernel goes through the descriptor of a directory on
 * the way (Linux): it is valid until a few more of those have been asked for, so use it at once.
 */
export function diskPath(directory: string, path: RootfsPath): string | Buffer {
  if (path === ROOT) return directory;
  // A name may have three bytes for each char of text.
  if (directory.length * 3 + path.length < PATH_MAX || process.platform !== "linux")
    return join(directory, path);
  let at = directory;
  let rest = path;
  for (let room = PATH_MAX - 1 - Buffer.byteLength(at); rest.length > room; room = PATH_MAX - 1 - at.length) {
    const end = rest.lastIndexOf("/", room);
    if (end <= 0) break;
    at = `/proc/self/fd/${hold(join(at, rest.slice(0, end) as RootfsPath))}`;
    rest = rest.slice(end + 1) as RootfsPath;
  }
  return join(at, rest);
}

function join(directory: string, path: RootfsPath): string | Buffer {
  for (let at = 0; at < path.length; at++) {
    if (path.charCodeAt(at) > 0x7f)
      return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, "latin1")]);
  }
  return `${directory}/${path}`;
}

function hold(directory: string | Buffer): number {
  const fd = openSync(directory, O_PATH | (constants.O_DIRECTORY ?? 0));
  held.push(fd);
  if (held.length > HELD_MAX) closeSync(held.shift()!);
  return fd;
}
