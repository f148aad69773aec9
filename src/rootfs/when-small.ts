import type { DiskEntry } from "./disk-entry.ts";

/** Left out or not: a few milliseconds. */
const ENTRIES_MAX = 300;
/** Of a directory's own list of names, which is read in one call. */
const LIST_BYTES_MAX = 64 << 10;
const BYTES_MAX = 256 << 10;

class TooMuch extends Error {}

/** Counts what work does, and ends it when it is too much for the thread that waits. */
export interface WorkBudget {
  /** Something of a disk is looked at. */
  readonly onLook: (found: DiskEntry) => void;
  /** Bytes of files are read. */
  readonly onRead: (sizeBytes: number) => void;
  /** An entry is worked on. */
  readonly onEntry: () => void;
  /** Nobody knows how much is to come. */
  readonly giveUp: () => never;
}

/** The result of work on few files, done in the calling thread: to hand it to another takes longer. Undefined where it is more. */
export function whenSmall<Result>(work: (budget: WorkBudget) => Result): Result | undefined {
  let entries = 0;
  let bytes = 0;
  const giveUp = () => {
    throw new TooMuch();
  };
  const check = (isSmall: boolean) => {
    if (!isSmall) giveUp();
  };
  const onEntry = () => check(++entries <= ENTRIES_MAX);
  try {
    return work({
      giveUp,
      onEntry,
      onLook({ stats }) {
        onEntry();
        check(!stats.isDirectory() || stats.size <= LIST_BYTES_MAX);
      },
      onRead(sizeBytes) {
        bytes += sizeBytes;
        check(bytes <= BYTES_MAX);
      },
    });
  } catch (error) {
    if (error instanceof TooMuch) return undefined;
    throw error;
  }
}

/** Whether there are as few. */
export function areFew(entryCount: number): boolean {
  return entryCount <= ENTRIES_MAX;
}

/** Whether what was selected is as little. */
export function isSmall({
  entryCount,
  totalBytes,
}: {
  readonly entryCount: number;
  readonly totalBytes: number;
}): boolean {
  return areFew(entryCount) && totalBytes <= BYTES_MAX;
}
