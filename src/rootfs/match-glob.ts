/** Whether a path component (or a whole path) holds a wildcard that no backslash escapes. */
export function hasWildcard(pattern: string): boolean {
  for (let at = 0; at < pattern.length; at++) {
    if (pattern[at] === "\\") at++;
    else if (pattern[at] === "*" || pattern[at] === "?" || pattern[at] === "[") return true;
  }
  return false;
}

/** The pattern that matches this text alone. */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\\]/g, "\\$&");
}

/** A pattern without wildcards as the name that it means. */
export function unescapeGlob(pattern: string): string {
  return pattern.replace(/\\(.)/gs, "$1");
}

/**
 * Whether a name matches a pattern as Go's `filepath.Match` has it: `*`, `?`, `[a-z]`, `[^a]` and backslash escapes, within
 * one path component. A malformed pattern matches nothing. Both are text.
 */
export function matchGlob(pattern: string, name: string): boolean {
  return matchFrom([...pattern], 0, [...name], 0) ?? false;
}

/** Undefined for a malformed pattern. */
function matchFrom(
  pattern: readonly string[],
  patternStart: number,
  name: readonly string[],
  nameStart: number,
): boolean | undefined {
  let at = patternStart;
  let nameAt = nameStart;
  // The last star and where the name stood: it takes one more character each time the rest fails.
  let star = -1;
  let starName = 0;
  for (;;) {
    if (at < pattern.length && pattern[at] === "*") {
      star = at++;
      starName = nameAt;
      continue;
    }
    if (at === pattern.length && nameAt === name.length) return true;
    const step = at < pattern.length && nameAt < name.length ? matchOne(pattern, at, name[nameAt]!) : 0;
    if (step === undefined) return undefined;
    if (step > 0) {
      at += step;
      nameAt++;
    } else if (star >= 0 && starName < name.length) {
      at = star + 1;
      nameAt = ++starName;
    } else {
      return false;
    }
  }
}

/** How many characters of the pattern the name's one matches; 0 for no match; undefined for a malformed pattern. */
function matchOne(pattern: readonly string[], at: number, char: string): number | undefined {
  switch (pattern[at]) {
    case "?":
      return 1;
    case "\\":
      if (at + 1 >= pattern.length) return undefined;
      return pattern[at + 1] === char ? 2 : 0;
    case "[":
      return matchClass(pattern, at, char);
    default:
      return pattern[at] === char ? 1 : 0;
  }
}

function matchClass(pattern: readonly string[], start: number, char: string): number | undefined {
  let at = start + 1;
  const isNegated = pattern[at] === "^";
  if (isNegated) at++;
  let isMatch = false;
  const readOne = (): string | undefined => {
    if (pattern[at] === "-" || pattern[at] === "]") return undefined;
    if (pattern[at] === "\\") at++;
    return pattern[at++];
  };
  for (let count = 0; ; count++) {
    if (at >= pattern.length) return undefined;
    if (pattern[at] === "]" && count > 0) break;
    const low = readOne();
    if (low === undefined || at >= pattern.length) return undefined;
    let high: string | undefined = low;
    if (pattern[at] === "-") {
      at++;
      high = readOne();
      if (high === undefined || at >= pattern.length) return undefined;
    }
    const code = char.codePointAt(0)!;
    if (low.codePointAt(0)! <= code && code <= high.codePointAt(0)!) isMatch = true;
  }
  return isMatch !== isNegated ? at + 1 - start : 0;
}
