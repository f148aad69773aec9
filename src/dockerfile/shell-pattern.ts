import { BuildError } from "../errors/build-error.ts";

/*
 * Shell patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*`, `?` and backslash escapes, no brackets (POSIX shell, 2.13,
 * as BuildKit has it). A pattern is cut at its stars into segments; because a star takes anything, taking each segment at
 * its first place loses no match. So matching never backtracks. DIFFERS: `*` and `?` match newlines, too.
 */

/** Characters, one code point each; `null` is `?`. */
type Segment = readonly (string | null)[];

/** What matching may still cost, in characters of the value times those of the pattern. */
export interface PatternBudget {
  patternWork: number;
}

export interface Trim {
  /** The longest start or end that matches, not the shortest. */
  readonly longest: boolean;
  readonly budget: PatternBudget;
}

/**
 * `value` without the start that matches.
 *
 * @throws BuildError `variable-invalid` for an escape that means nothing; `input-limit`.
 */
export function trimPatternPrefix(value: string, pattern: string, { longest, budget }: Trim): string {
  const segments = parsePattern(pattern, value, budget);
  const characters = [...value];
  const match = matchFrom(characters, segments, { longest, anchored: true, from: 0 });
  return match === undefined ? value : characters.slice(match.end).join("");
}

/** `value` without the end that matches. Throws as `trimPatternPrefix`. */
export function trimPatternSuffix(value: string, pattern: string, { longest, budget }: Trim): string {
  const segments = parsePattern(pattern, value, budget)
    .map((segment) => segment.toReversed())
    .reverse();
  const characters = [...value].reverse();
  const match = matchFrom(characters, segments, { longest, anchored: true, from: 0 });
  return match === undefined ? value : characters.slice(match.end).reverse().join("");
}

export interface Replacement {
  readonly replacement: string;
  /** Every match, not only the first. */
  readonly all: boolean;
  /** Of the result, in characters. */
  readonly maxLength: number;
  readonly budget: PatternBudget;
}

/** `value` with its first (or every) longest match replaced. Throws as `trimPatternPrefix`. */
export function replacePattern(value: string, pattern: string, options: Replacement): string {
  const segments = parsePattern(pattern, value, options.budget);
  const characters = [...value];
  let result = "";
  let from = 0;
  while (from <= characters.length) {
    const match = matchFrom(characters, segments, { longest: true, anchored: false, from });
    if (match === undefined) break;
    result += characters.slice(from, match.start).join("") + options.replacement;
    if (result.length > options.maxLength) {
      throw new BuildError(
        "input-limit",
        `Cannot replace "${pattern}": the result is longer than ${options.maxLength} characters`,
      );
    }
    from = match.end;
    if (match.end === match.start) {
      // An empty match: go on behind the next character, or the same place would match for ever.
      result += characters[from] ?? "";
      from++;
    }
    if (!options.all) break;
  }
  return result + characters.slice(from).join("");
}

function parsePattern(pattern: string, value: string, budget: PatternBudget): readonly Segment[] {
  budget.patternWork -= (pattern.length + 1) * value.length;
  if (budget.patternWork < 0) {
    throw new BuildError(
      "input-limit",
      `Cannot match a pattern of ${pattern.length} characters with a value of ${value.length}: patterns and values are too long`,
    );
  }
  const segments: (string | null)[][] = [[]];
  const characters = [...pattern];
  for (let at = 0; at < characters.length; at++) {
    const segment = segments.at(-1)!;
    let char = characters[at]!;
    if (char === "*") {
      segments.push([]);
    } else if (char === "?") {
      segment.push(null);
    } else {
      if (char === "\\") {
        char = characters[++at] ?? "";
        // Braces and slashes are escaped for `${}`, not for the pattern.
        if (!["*", "?", "\\", "}", "/"].includes(char)) {
          throw new BuildError(
            "variable-invalid",
            `Cannot match the pattern "${pattern}": "\\${char}" escapes nothing`,
          );
        }
      }
      segment.push(char);
    }
  }
  return segments;
}

interface MatchOptions {
  readonly longest: boolean;
  /** Only a match that begins at `from` counts. */
  readonly anchored: boolean;
  readonly from: number;
}

function matchFrom(
  value: readonly string[],
  segments: readonly Segment[],
  options: MatchOptions,
): { readonly start: number; readonly end: number } | undefined {
  const [first, ...rest] = segments as [Segment, ...Segment[]];
  const start = options.anchored
    ? matchesAt(value, first, options.from)
      ? options.from
      : -1
    : findFirst(value, first, options.from);
  if (start < 0) return undefined;
  let end = start + first.length;
  for (const [i, segment] of rest.entries()) {
    const isLast = i === rest.length - 1;
    const at = isLast && options.longest ? findLast(value, segment, end) : findFirst(value, segment, end);
    if (at < 0) return undefined;
    end = at + segment.length;
  }
  return { start, end };
}

function matchesAt(value: readonly string[], segment: Segment, at: number): boolean {
  return (
    at + segment.length <= value.length && segment.every((char, i) => char === null || value[at + i] === char)
  );
}

function findFirst(value: readonly string[], segment: Segment, from: number): number {
  for (let at = from; at + segment.length <= value.length; at++) if (matchesAt(value, segment, at)) return at;
  return -1;
}

function findLast(value: readonly string[], segment: Segment, from: number): number {
  for (let at = value.length - segment.length; at >= from; at--) if (matchesAt(value, segment, at)) return at;
  return -1;
}
