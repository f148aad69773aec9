import type { SelectCopyRequest } from "./copy-request.ts";
import type { DiskEntry } from "./disk-entry.ts";
import type { MakeIgnoreMatcher } from "./ignore-matcher.ts";
import { type PlainSelection, selectCopy } from "./select-copy.ts";

/** Looked at, left out or not: a few milliseconds. */
const ENTRIES_MAX = 200;
/** Of a directory's own list of names, which is read in one call. */
const LIST_BYTES_MAX = 64 << 10;

class TooMuch extends Error {}

/**
 * What a COPY copies of few files of this machine that are as they were, found in the calling thread: to start another one takes ten
 * times as long. Undefined where it is more, where anything must be read, or where the files are not of this machine.
 * @throws what `selectCopy` throws.
 */
export function selectSmallCopy(
  request: SelectCopyRequest,
  makeIgnoreMatcher: MakeIgnoreMatcher,
): PlainSelection | undefined {
  const isLocal = request.sources.every(
    (source) => source.kind === "inline" || (source.kind === "path" && source.tree.kind === "directory"),
  );
  if (!isLocal || request.base !== undefined) return undefined;
  let entries = 0;
  const onLook = ({ stats }: DiskEntry) => {
    entries++;
    const isLongList = stats.isDirectory() && stats.size > LIST_BYTES_MAX;
    if (entries > ENTRIES_MAX || isLongList) throw new TooMuch();
  };
  const onRead = () => {
    throw new TooMuch();
  };
  try {
    return selectCopy(request, { makeIgnoreMatcher, onLook, onRead });
  } catch (error) {
    if (error instanceof TooMuch) return undefined;
    throw error;
  }
}
