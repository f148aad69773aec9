import type { SelectCopyRequest } from "./copy-request.ts";
import type { MakeIgnoreMatcher } from "./ignore-matcher.ts";
import { type PlainSelection, selectCopy } from "./select-copy.ts";
import { whenSmall } from "./when-small.ts";

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
  if (!isLocal) return undefined;
  return whenSmall((budget) => selectCopy(request, { makeIgnoreMatcher, ...budget }));
}
