import { BuildError } from "../errors/build-error.ts";
import { compileIgnorePattern, type IgnorePattern, type Places } from "./ignore-pattern.ts";
import { trimSpaces } from "./is-space.ts";

/** Tells which paths of a context are ignored. Paths are text, relative to the context's root, with slashes. */
export interface IgnoreMatcher {
  /** Whether a path is left out: the last pattern that matches it or a directory above it decides. */
  excludes(path: string): boolean;
  /** Whether a walk may pass a directory by: it is left out, and no later `!` pattern can bring anything below it back. */
  canSkipDirectory(path: string): boolean;
  /** The pattern that leaves a path out: the last one that matches it or a directory above it. */
  findPattern(path: string): string | undefined;
  /** Whether any pattern begins with `!`. */
  readonly hasNegations: boolean;
}

/**
 * Makes a matcher of the patterns of an ignore file (`parseIgnoreFile` reads one). They mean what they mean to docker and
 * BuildKit when they walk a context.
 *
 * @throws BuildError `context` for a malformed pattern.
 */
export function makeIgnoreMatcher(patterns: readonly string[]): IgnoreMatcher {
  const lines = patterns.flatMap((line) => compileLine(line).map((pattern) => ({ line, pattern })));
  const compiled = lines.map(({ pattern }) => pattern);
  // Results for the directories above the path that was asked for last: a walk asks for neighbours.
  const trail: { readonly path: string; readonly result: Result }[] = [];

  const resultOf = (path: string): Result => {
    while (trail.length > 0 && !path.startsWith(`${trail.at(-1)!.path}/`)) trail.pop();
    let result = trail.at(-1)?.result;
    let start = trail.length > 0 ? trail.at(-1)!.path.length + 1 : 0;
    while (true) {
      const slash = path.indexOf("/", start);
      const end = slash < 0 ? path.length : slash;
      const step = { path: path.slice(0, end), text: path.slice(Math.max(0, start - 1), end) };
      result = matchOne(compiled, step, result);
      if (slash < 0) return result;
      trail.push({ path: step.path, result });
      start = slash + 1;
    }
  };

  // Most contexts have no ignore file, and many files.
  if (compiled.length === 0) {
    const never = () => false;
    return {
      hasNegations: false,
      excludes: never,
      canSkipDirectory: never,
      findPattern: () => undefined,
    };
  }
  return {
    hasNegations: compiled.some(({ isNegated }) => isNegated),
    excludes(path) {
      const clean = cleanRelative(path);
      return clean !== "." && resultOf(clean).isExcluded;
    },
    canSkipDirectory(path) {
      const clean = cleanRelative(path);
      if (clean === ".") return false;
      const { isExcluded, matched, places } = resultOf(clean);
      if (!isExcluded) return false;
      // From there on everything below is excluded, but for what a later negation matches.
      const decisive = findDecisive(compiled, matched);
      return !compiled.some(
        (pattern, i) => i > decisive && pattern.isNegated && pattern.canMatchBelow(clean, places[i]!),
      );
    },
    findPattern(path) {
      const clean = cleanRelative(path);
      if (clean === ".") return undefined;
      const { isExcluded, matched } = resultOf(clean);
      return isExcluded ? trimSpaces(lines[findDecisive(compiled, matched)]!.line) : undefined;
    },
  };
}

function findDecisive(patterns: readonly IgnorePattern[], matched: Uint8Array): number {
  return patterns.findLastIndex((pattern, i) => matched[i] === 1 && !pattern.isNegated);
}

interface Result {
  readonly isExcluded: boolean;
  /** 1 for each pattern that matches the path or a directory above it. */
  readonly matched: Uint8Array;
  /** Where the path leads in each pattern. */
  readonly places: readonly Places[];
}

/**
 * BuildKit's rule: a pattern is only asked when it would change the outcome, and what matched a directory matches what is
 * below it.
 */
function matchOne(
  patterns: readonly IgnorePattern[],
  /** `text` is what the path has more than its parent. */
  { path, text }: { readonly path: string; readonly text: string },
  parent: Result | undefined,
): Result {
  const matched = new Uint8Array(patterns.length);
  const places = patterns.map((pattern, i) => pattern.read(text, parent?.places[i]));
  let isExcluded = false;
  for (const [i, pattern] of patterns.entries()) {
    let isMatch = parent?.matched[i] === 1;
    if (!isMatch && pattern.isNegated === isExcluded) isMatch = pattern.matches(path, places[i]!);
    if (!isMatch) continue;
    matched[i] = 1;
    isExcluded = !pattern.isNegated;
  }
  return { isExcluded, matched, places };
}

function compileLine(line: string): readonly IgnorePattern[] {
  const trimmed = trimSpaces(line);
  const isNegated = trimmed.startsWith("!");
  const pattern = isNegated ? trimmed.slice(1) : trimmed;
  if (pattern === "") {
    if (isNegated) throw new BuildError("context", 'Cannot read the ignore pattern "!": it negates nothing');
    return [];
  }
  return [compileIgnorePattern(cleanRelative(pattern), isNegated)];
}

/**
 * The patterns of a `.dockerignore`: comments (a `#` as the very first character) and blank lines are gone, the rest is
 * clean and relative.
 */
export function parseIgnoreFile(text: string | Uint8Array): readonly string[] {
  const decoded = typeof text === "string" ? text.replace(/^\uFEFF/, "") : new TextDecoder().decode(text);
  return decoded.split("\n").flatMap((line) => {
    if (line.startsWith("#")) return [];
    const trimmed = trimSpaces(line);
    if (trimmed === "") return [];
    if (!trimmed.startsWith("!")) return [cleanRelative(trimmed)];
    const rest = trimSpaces(trimmed.slice(1));
    return [rest === "" ? "!" : `!${cleanRelative(rest)}`];
  });
}

/** Without `.`, `..` where it can be resolved, double, leading and trailing slashes; `.` for the root. */
function cleanRelative(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    const last = parts.at(-1);
    if (part !== "..") parts.push(part);
    else if (last !== undefined && last !== "..") parts.pop();
    else if (!path.startsWith("/")) parts.push(part);
  }
  return parts.length === 0 ? "." : parts.join("/");
}
