import { closeSync, constants, mkdirSync, mkdtempSync, openSync, rmdirSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { FS_TOPDIR_FL, loadLibc } from "../rootfs/libc.ts";

/** Scratch directories of commands, each with those of `RUN_DIRECTORY`, which are empty. */
export interface RunDirectories {
  /** An empty one, which is the caller's. */
  take(): string;
  /** One whose command went well, and whose changes and layer are elsewhere: no longer the caller's. */
  giveBack(directory: string): void;
  /** Makes the next one. For while a command runs: to make four directories takes a millisecond where many were removed just before. */
  prepare(): void;
}

/** Below `parent`; those that nobody takes go with it. */
export function makeRunDirectories(parent: string): RunDirectories {
  const used: string[] = [];
  let ready: string | undefined;
  let isSpread = false;
  const make = (): string => {
    if (!isSpread) spreadSubdirectories(parent);
    isSpread = true;
    const directory = mkdtempSync(join(parent, "run-"));
    for (const name of Object.values(RUN_DIRECTORY)) mkdirSync(join(directory, name));
    return directory;
  };
  return {
    take() {
      const directory = ready ?? make();
      ready = undefined;
      return directory;
    },
    giveBack(directory) {
      used.push(directory);
    },
    prepare() {
      try {
        ready ??= renew(used.pop()) ?? make();
      } catch {
        // Whoever takes the next one is told.
      }
    },
  };
}

/** Where the changes go; what the kernel wants beside that; what becomes a layer's directory in the store. */
export const RUN_DIRECTORY = { upper: "upper", work: "work", layer: "layer" } as const;

/** What a volatile overlay leaves in its work directory; with that in there the kernel would not take it again (Linux, overlayfs.rst). */
const VOLATILE_MARK = "work/incompat/volatile/dirty";

/**
 * Each mount of an overlay makes seven inodes and removes them. Before ext4 gives an inode a place it looks at each one nearby that was removed in
 * the last minutes, so sixty commands side by side took 1.6 ms more each.
 */
function spreadSubdirectories(directory: string): void {
  try {
    const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      loadLibc().addInodeFlags(fd, FS_TOPDIR_FL);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Other file systems do without.
  }
}

/** The same as new, in fewer steps than it takes to remove it and make another. Undefined when there is something else in it. */
function renew(directory: string | undefined): string | undefined {
  if (directory === undefined) return undefined;
  try {
    const work = join(directory, RUN_DIRECTORY.work);
    unlinkSync(join(work, VOLATILE_MARK));
    for (let path = dirname(VOLATILE_MARK); path !== "."; path = dirname(path)) rmdirSync(join(work, path));
    for (const name of [RUN_DIRECTORY.upper, RUN_DIRECTORY.layer]) mkdirSync(join(directory, name));
    return directory;
  } catch {
    return undefined;
  }
}
