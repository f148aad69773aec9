import type { Entry } from "./entry.ts";
import { mergeSorted } from "./merge-sorted.ts";
import { comparePaths } from "./rootfs-path.ts";
import type { TreeEntry, UnionTree } from "./union-tree.ts";

/** What of an entry may differ. */
export type ChangedAspect = "type" | "content" | "mode" | "owner" | "link" | "device" | "xattrs" | "time";

export type TreeChange =
  | { readonly kind: "added"; readonly after: TreeEntry }
  | { readonly kind: "removed"; readonly before: TreeEntry }
  | {
      readonly kind: "changed";
      readonly before: TreeEntry;
      readonly after: TreeEntry;
      /** In the order of `ChangedAspect`; never empty. */
      readonly what: readonly ChangedAspect[];
    };

export interface CompareOptions {
  /** Times count, too. By default they do not: they tell when something was made, not what it is. */
  readonly times?: boolean;
}

/**
 * What differs between two trees, in the order of an index, as a stream. Bytes are read only of files of the same size whose digests the
 * indexes do not know. Yields `undefined` for what is equal, so that a caller may take a breath.
 */
export function* compareTrees(
  before: UnionTree,
  after: UnionTree,
  { times = false }: CompareOptions = {},
): Generator<TreeChange | undefined> {
  const sources = [sided(before, "before"), sided(after, "after")];
  for (const found of mergeSorted(sources, (a, b) => comparePaths(a.entry.entry.path, b.entry.entry.path))) {
    const [first, second] = found;
    if (second === undefined) {
      yield first!.side === "before"
        ? { kind: "removed", before: first!.entry }
        : { kind: "added", after: first!.entry };
      continue;
    }
    const pair = { before: first!.entry, after: second.entry };
    const what = [...compareEntries(pair.before.entry, pair.after.entry)];
    if (!what.includes("type") && hasOtherContent(before, after, pair)) {
      what.splice(0, 0, "content");
    }
    if (times && hasOtherTime(pair.before.entry, pair.after.entry)) what.push("time");
    yield what.length === 0 ? undefined : { kind: "changed", ...pair, what };
  }
}

interface SidedEntry {
  readonly side: "before" | "after";
  readonly entry: TreeEntry;
}

function* sided(tree: UnionTree, side: SidedEntry["side"]): Generator<SidedEntry> {
  for (const entry of tree.walk()) yield { side, entry };
}

function* compareEntries(a: Entry, b: Entry): Generator<ChangedAspect> {
  if (a.type !== b.type) yield "type";
  // The mode of a symlink means nothing.
  if (a.mode !== b.mode && !(a.type === "symlink" && b.type === "symlink")) yield "mode";
  if (a.uid !== b.uid || a.gid !== b.gid) yield "owner";
  if (a.type === b.type && a.linkTarget !== b.linkTarget) yield "link";
  if (a.type === b.type && (a.deviceMajor !== b.deviceMajor || a.deviceMinor !== b.deviceMinor)) {
    yield "device";
  }
  if (!haveSameXattrs(a, b)) yield "xattrs";
}

function hasOtherTime(a: Entry, b: Entry): boolean {
  return a.mtime !== b.mtime || a.mtimeNs !== b.mtimeNs;
}

function haveSameXattrs({ xattrs: a = {} }: Entry, { xattrs: b = {} }: Entry): boolean {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => b[name] !== undefined && Buffer.compare(a[name]!, b[name]) === 0);
}

function hasOtherContent(
  before: UnionTree,
  after: UnionTree,
  pair: { readonly before: TreeEntry; readonly after: TreeEntry },
): boolean {
  const [a, b] = [pair.before.entry, pair.after.entry];
  if (a.type !== "file") return false;
  if (a.size !== b.size) return true;
  if (a.size === 0) return false;
  if (a.contentHash !== undefined && b.contentHash !== undefined) {
    return Buffer.compare(a.contentHash, b.contentHash) !== 0;
  }
  const [left, right] = [before.locate(pair.before), after.locate(pair.after)];
  if (String(left.filePath) === String(right.filePath) && left.offset === right.offset) return false;
  return !haveSameBytes(before.read(pair.before), after.read(pair.after));
}

/** Chunks are of one size but for the last, wherever they come from (`UnionTree.read`). */
function haveSameBytes(a: Iterable<Uint8Array>, b: Iterable<Uint8Array>): boolean {
  const others = b[Symbol.iterator]();
  try {
    for (const chunk of a) {
      const other = others.next();
      if (other.done || Buffer.compare(chunk, other.value) !== 0) return false;
    }
    return others.next().done === true;
  } finally {
    others.return?.();
  }
}
