import { type BigIntStats, closeSync, constants, lstatSync, openSync } from "node:fs";
import type { FileStamp } from "../store/file-digests.ts";
import { diskPath, PATH_MAX } from "./disk-path.ts";
import type { RootfsPath } from "./entry.ts";
import { type Libc, loadLibc, STATX_BYTES } from "./libc.ts";

/*
 * A stamp is twelve little-endian words of 32 bits, as statx(2) gives them: ctime and mtime (64 bits of seconds, nanoseconds), inode, size (64 bits
 * each), major and minor number of the device.
 */

export const STAMP_BYTES = 48;
/** Where `struct statx` of <linux/stat.h> has the words of a stamp. */
const STATX_WORDS = [0x60, 0x64, 0x68, 0x70, 0x74, 0x78, 0x20, 0x24, 0x28, 0x2c, 0x88, 0x8c] as const;

const NS_PER_S = 1_000_000_000n;

export function writeStamp(view: DataView, at: number, stats: FileStamp): void {
  writeTime(view, at, stats.ctimeNs);
  writeTime(view, at + 12, stats.mtimeNs);
  view.setBigUint64(at + 24, stats.ino, true);
  view.setBigUint64(at + 32, stats.size, true);
  const { dev } = stats;
  // glibc's major() and minor().
  view.setUint32(at + 40, Number(((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)), true);
  view.setUint32(at + 44, Number((dev & 0xffn) | ((dev >> 12n) & ~0xffn)), true);
}

function writeTime(view: DataView, at: number, ns: bigint): void {
  const fraction = ((ns % NS_PER_S) + NS_PER_S) % NS_PER_S;
  view.setBigInt64(at, (ns - fraction) / NS_PER_S, true);
  view.setUint32(at + 8, Number(fraction), true);
}

/** Looks at paths below a directory again. */
export interface Looker extends Disposable {
  /** Whether something is at a path, the bytes of `piece` from `start` to `end`, where there is a NUL. @throws what cannot be looked at. */
  isThere(piece: Buffer, start: number, end: number): boolean;
  /** Whether what was there has this stamp. */
  hasStamp(view: DataView, at: number): boolean;
}

/** `isLong`: many paths are to be looked at, so that the C library is worth its 6 ms: two thirds of the time of Node's calls. */
export function openLooker(directory: string, { isLong }: { readonly isLong: boolean }): Looker {
  const looker = new LstatLooker(directory);
  if (!isLong) return looker;
  try {
    return new StatxLooker(directory, looker);
  } catch {
    // Another system, or no such directory: then nothing is there.
    return looker;
  }
}

class LstatLooker implements Looker {
  readonly #directory: string;
  readonly #found = new DataView(new ArrayBuffer(STAMP_BYTES));

  constructor(directory: string) {
    this.#directory = directory;
  }

  isThere(piece: Buffer, start: number, end: number): boolean {
    const path = diskPath(this.#directory, piece.toString("latin1", start, end) as RootfsPath);
    const stats: BigIntStats | undefined = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (stats !== undefined) writeStamp(this.#found, 0, stats);
    return stats !== undefined;
  }

  hasStamp(view: DataView, at: number): boolean {
    for (let word = 0; word < STAMP_BYTES; word += 4)
      if (view.getInt32(at + word, true) !== this.#found.getInt32(word, true)) return false;
    return true;
  }

  [Symbol.dispose](): void {}
}

class StatxLooker implements Looker {
  readonly #libc: Libc = loadLibc();
  readonly #fd: number;
  readonly #found = Buffer.alloc(STATX_BYTES);
  readonly #view = new DataView(this.#found.buffer, this.#found.byteOffset);
  /** For the directory itself, which may be a link, and paths that are too long for one call. */
  readonly #lstat: LstatLooker;
  #isByLstat = false;

  constructor(directory: string, lstat: LstatLooker) {
    this.#lstat = lstat;
    this.#fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  }

  isThere(piece: Buffer, start: number, end: number): boolean {
    this.#isByLstat = start === end || end - start > PATH_MAX;
    if (this.#isByLstat) return this.#lstat.isThere(piece, start, end);
    return this.#libc.statx(this.#fd, piece.subarray(start, end + 1), this.#found);
  }

  hasStamp(view: DataView, at: number): boolean {
    if (this.#isByLstat) return this.#lstat.hasStamp(view, at);
    for (let word = 0; word < STATX_WORDS.length; word++)
      if (view.getInt32(at + 4 * word, true) !== this.#view.getInt32(STATX_WORDS[word]!, true)) return false;
    return true;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
