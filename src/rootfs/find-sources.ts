import { BuildError } from "../errors/build-error.ts";
import type { SelectionVerb } from "./copy-request.ts";
import type { RootfsPath } from "./entry.ts";
import { hasWildcard, matchGlob, unescapeGlob } from "./match-glob.ts";
import { resolvePath } from "./resolve-path.ts";
import {
  baseName,
  bytesFromText,
  cleanPath,
  joinPath,
  parentPath,
  pathToText,
  ROOT,
  textFromBytes,
} from "./rootfs-path.ts";
import type { SourceNode, SourceTree } from "./source-tree.ts";

/** One path that a source names, symlinks followed. */
export interface FoundSource {
  /** Where it is once symlinks are followed. */
  readonly path: RootfsPath;
  readonly node: SourceNode;
  /** The last part of what was asked for, which is the name that a copy has. */
  readonly name: string;
  /** A wildcard found it. */
  readonly isMatch: boolean;
}

/**
 * The paths that a source of COPY names, in byte order: itself, or what its wildcards match (perhaps nothing). A wildcard
 * never matches through a symlink; symlinks in front of the first one are followed inside the root, and so is the match.
 * @throws BuildError `copy-source-missing`.
 */
export function findSources(tree: SourceTree, pattern: string, verb: SelectionVerb = "copy"): FoundSource[] {
  const lookup = (path: RootfsPath) => tree.lookup(path);
  // As the planner gives it, but for `..`, which never leads above the root.
  const parts = cleanPath(bytesFromText(pattern)).split("/");
  const firstWildcard = parts.findIndex(hasWildcard);
  if (firstWildcard < 0) return [findOne(tree, cleanPath(bytesFromText(pattern)), { isMatch: false, verb })];
  const prefix = parts.slice(0, firstWildcard).join("/") as RootfsPath;
  const base = resolvePath(lookup, prefix, true);
  if (base.entry === undefined) throw missing(tree, prefix, verb);
  let found: { readonly path: RootfsPath; readonly asked: RootfsPath }[] = [
    { path: base.path, asked: prefix },
  ];
  const wildcards = parts.slice(firstWildcard);
  for (const [depth, part] of wildcards.entries()) {
    const isLast = depth === wildcards.length - 1;
    const next: typeof found = [];
    for (const { path, asked } of found) {
      for (const { entry } of tree.list(path)) {
        if (!isLast && entry.type !== "directory") continue;
        const name = baseName(entry.path);
        if (matchName(part, name)) next.push({ path: entry.path, asked: joinPath(asked, name) });
      }
    }
    found = next;
  }
  return found.map(({ path }) => findOne(tree, path, { isMatch: true, verb }));
}

/** @throws BuildError `copy-source-missing`. */
function findOne(
  tree: SourceTree,
  path: RootfsPath,
  { isMatch, verb }: { readonly isMatch: boolean; readonly verb: SelectionVerb },
): FoundSource {
  const lookup = (at: RootfsPath) => tree.lookup(at);
  const name = baseName(path);
  const { path: resolved, entry } = resolvePath(lookup, path, true);
  if (entry !== undefined) return { path: resolved, node: entry, name, isMatch };
  const unescaped = unescapeGlob(path) as RootfsPath;
  if (!isMatch && unescaped !== path) return findOne(tree, unescaped, { isMatch, verb });
  throw missing(tree, path, verb);
}

function matchName(pattern: string, name: string): boolean {
  const text = textFromBytes(name);
  // A name that is not UTF-8 is matched byte by byte.
  return bytesFromText(text) === name ? matchGlob(textFromBytes(pattern), text) : matchGlob(pattern, name);
}

/** Says what is there instead. */
export function missing(tree: SourceTree, path: RootfsPath, verb: SelectionVerb): BuildError {
  return new BuildError("copy-source-missing", `Cannot ${verb} "${pathToText(path)}": it is not there`, {
    hint: hintFor(tree, path),
  });
}

function hintFor(tree: SourceTree, path: RootfsPath): string | undefined {
  if (tree.isIgnored(path)) return `${tree.describePattern(path)} leaves it out`;
  let existing = path;
  let absent = path;
  while (existing !== ROOT) {
    absent = existing;
    existing = parentPath(existing);
    const node = tree.lookup(existing);
    if (node?.entry.type === "symlink") {
      return `"${pathToText(existing)}" is a symlink to "${textFromBytes(node.entry.linkTarget!)}", which is not there`;
    }
    if (node !== undefined) break;
    if (tree.isIgnored(existing)) {
      return `${tree.describePattern(existing)} leaves "${pathToText(existing)}" out`;
    }
  }
  const node = tree.lookup(path);
  if (node?.entry.type === "symlink") {
    return `It is a symlink to "${textFromBytes(node.entry.linkTarget!)}", which is not there`;
  }
  const nearest = nearestName(tree, existing, baseName(absent));
  return nearest === undefined ? undefined : `Did you mean "${pathToText(joinPath(existing, nearest))}"?`;
}

/** How many names are compared for a hint. */
const HINT_LIMIT = 5000;

function nearestName(tree: SourceTree, directory: RootfsPath, name: string): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  let count = 0;
  for (const { entry } of tree.list(directory)) {
    if (count++ >= HINT_LIMIT) break;
    const candidate = baseName(entry.path);
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase(), bestDistance);
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

/** Levenshtein's distance; anything from `limit` on may come out as `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let previous = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const swap = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(swap, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
