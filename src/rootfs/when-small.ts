import type { DiskEntry } from "./disk-entry.ts";

/** Looked at, left out or not: a few milliseconds. */
const ENTRIES_MAX = 200;
/** Of a directory's own list of names, which is read in one call. */
const LIST_BYTES_MAX = 64 << 10;

class TooMuch extends Error {}

/** Counts what work does, and ends it when it is too much for the thread that waits. */
export interface WorkBudget {
  readonly onLook: (found: DiskEntry) => void;
  /** No time for bytes of files. */
  readonly onRead: () => void;
}

/** The result of work on few files, done in the calling thread: to hand it to another takes longer. Undefined where it is more. */
export function whenSmall<Result>(work: (budget: WorkBudget) => Result): Result | undefined {
  let entries = 0;
  const giveUp = () => {
    throw new TooMuch();
  };
  const onLook = ({ stats }: DiskEntry) => {
    entries++;
    if (entries > ENTRIES_MAX || (stats.isDirectory() && stats.size > LIST_BYTES_MAX)) giveUp();
  };
  try {
    return work({ onLook, onRead: giveUp });
  } catch (error) {
    if (error instanceof TooMuch) return undefined;
    throw error;
  }
}
