import { BuildError } from "../errors/build-error.ts";

/*
 * One pattern of an ignore file, as moby's patternmatcher reads it: `*` and `?` stop at slashes, `**` does not, `[a-z]` and
 * `[^a-z]` are classes, a backslash escapes. Matching never backtracks: a pattern is a row of places, and reading a path moves
 * through all of them at once, at most places times characters. What a directory's path led to is kept, so that a walk
 * reads each name once however deep it is.
 */

export interface IgnorePattern {
  /** `!`: what matches is not ignored after all. */
  readonly isNegated: boolean;
  /** How BuildKit would match it: by comparison, or by this regular expression. */
  readonly form: PatternForm;
  /** Whether the path matches; `places` are what reading it gave. */
  matches(path: string, places: Places): boolean;
  /** Whether any path below the directory can match. */
  canMatchBelow(directory: string, places: Places): boolean;
  /** Reads on: what `text` leads to from the places that the text before it led to. */
  read(text: string, before?: Places): Places;
}

/** The places in a pattern that are possible after some text. */
export type Places = readonly number[];

export type PatternForm =
  | { readonly kind: "exact" | "prefix" | "suffix" }
  | { readonly kind: "regexp"; readonly source: string };

type Token =
  | { readonly kind: "char"; readonly char: string }
  | {
      readonly kind: "class";
      readonly isNegated: boolean;
      readonly ranges: readonly (readonly [string, string])[];
    }
  /** `?` */
  | { readonly kind: "any" }
  /** `*` */
  | { readonly kind: "star" }
  /** `**`, with the slash behind it: nothing, or anything that ends in a slash. */
  | { readonly kind: "folders" }
  /** `**` at the end, or in front of a plain ending: anything. */
  | { readonly kind: "everything" };

/**
 * Compiles a pattern that is already clean: no white space around it, no `./`, no double slashes.
 *
 * @throws BuildError `context` for a pattern that is malformed.
 */
export function compileIgnorePattern(text: string, isNegated: boolean): IgnorePattern {
  const { tokens, source } = tokenize(text);
  const form = formOf(text, tokens, source);
  if (form.kind !== "regexp") return { isNegated, form, read: () => [], ...comparisons(text, form.kind) };
  const states = simplify(tokens);
  const read = makeReader(states);
  return {
    isNegated,
    form,
    read,
    matches: (_path, places) => places.at(-1) === states.length,
    canMatchBelow(_directory, places) {
      const [first] = read("/", places);
      return first !== undefined && first < states.length;
    },
  };
}

function refuse(pattern: string, problem: string): never {
  throw new BuildError("context", `Cannot read the ignore pattern "${pattern}": ${problem}`);
}

function tokenize(pattern: string): { tokens: Token[]; source: string } {
  const characters = [...pattern];
  const tokens: Token[] = [];
  let source = "^";
  for (let at = 0; at < characters.length; at++) {
    const char = characters[at]!;
    if (char === "*" && characters[at + 1] === "*") {
      at++;
      if (characters[at + 1] === "/") at++;
      const isLast = at + 1 >= characters.length;
      tokens.push({ kind: isLast ? "everything" : "folders" });
      source += isLast ? ".*" : "(.*/)?";
    } else if (char === "*") {
      tokens.push({ kind: "star" });
      source += "[^/]*";
    } else if (char === "?") {
      tokens.push({ kind: "any" });
      source += "[^/]";
    } else if (char === "[") {
      const parsed = parseClass(pattern, characters, at);
      tokens.push(parsed.token);
      source += characters.slice(at, parsed.end).join("");
      at = parsed.end - 1;
    } else if (char === "\\" && at + 1 < characters.length) {
      at++;
      tokens.push({ kind: "char", char: characters[at]! });
      source += `\\${characters[at]}`;
    } else if (char === "\\") {
      refuse(pattern, "a backslash at the end escapes nothing");
    } else {
      tokens.push({ kind: "char", char });
      source += /[.+()|{}$]/.test(char) ? `\\${char}` : char;
    }
  }
  return { tokens, source: `${source}$` };
}

/** A class as Go's `filepath.Match` has it: not empty, no bare `-` or `]` as a member. DIFFERS: `\d` is the letter d. */
function parseClass(
  pattern: string,
  characters: readonly string[],
  start: number,
): { token: Token; end: number } {
  let at = start + 1;
  const isNegated = characters[at] === "^";
  if (isNegated) at++;
  const ranges: [string, string][] = [];
  const readMember = (): string => {
    let char = characters[at++];
    if (char === undefined || char === "-" || char === "]")
      return refuse(pattern, "a character class is malformed");
    if (char === "\\") char = characters[at++];
    if (char === undefined) return refuse(pattern, "a character class is not closed");
    return char;
  };
  while (characters[at] !== "]" || ranges.length === 0) {
    const low = readMember();
    let high = low;
    if (characters[at] === "-") {
      at++;
      high = readMember();
      if (high.codePointAt(0)! < low.codePointAt(0)!)
        refuse(pattern, `its range ${low}-${high} is backwards`);
    }
    ranges.push([low, high]);
    if (at >= characters.length) refuse(pattern, "a character class is not closed");
  }
  return { token: { kind: "class", isNegated, ranges }, end: at + 1 };
}

/** Which of the simple forms a pattern is: without wildcards, or with one `**` at an end of plain text. */
function formOf(text: string, tokens: readonly Token[], source: string): PatternForm {
  const isPlain = (some: readonly Token[]) => some.every(({ kind }) => kind === "char");
  const [first, ...rest] = tokens;
  // An escape makes it a regular expression, whatever it escapes.
  if (!text.includes("\\") && !text.includes("]")) {
    if (isPlain(tokens)) return { kind: "exact" };
    if (first!.kind === "folders" && isPlain(rest)) return { kind: "suffix" };
    if (first!.kind === "everything") return { kind: "suffix" };
    if (tokens.at(-1)!.kind === "everything" && isPlain(tokens.slice(0, -1))) return { kind: "prefix" };
  }
  return { kind: "regexp", source };
}

/** Repeated stars are one star. */
function simplify(tokens: readonly Token[]): readonly Token[] {
  const WILD = ["star", "folders", "everything"];
  return tokens.filter((token, i) => !WILD.includes(token.kind) || tokens[i - 1]?.kind !== token.kind);
}

function comparisons(
  text: string,
  kind: "exact" | "prefix" | "suffix",
): Pick<IgnorePattern, "matches" | "canMatchBelow"> {
  switch (kind) {
    case "exact":
      return {
        matches: (path) => path === text,
        canMatchBelow: (directory) => text.startsWith(`${directory}/`),
      };
    case "prefix": {
      const prefix = text.slice(0, text.lastIndexOf("**"));
      return {
        matches: (path) => path.startsWith(prefix),
        canMatchBelow: (directory) =>
          prefix.startsWith(`${directory}/`) || `${directory}/`.startsWith(prefix),
      };
    }
    case "suffix": {
      const suffix = text.slice(2);
      return {
        // `**/foo` is also `foo` at the top; `**foo` is whatever ends in foo.
        matches: (path) => path.endsWith(suffix) || (suffix.startsWith("/") && path === suffix.slice(1)),
        canMatchBelow: () => true,
      };
    }
  }
}

/** Reads with the places in ascending order; a stamp for each place tells whether it is in the next row already. */
function makeReader(tokens: readonly Token[]): IgnorePattern["read"] {
  const stamps = new Uint32Array(tokens.length + 1);
  let stamp = 0;
  // Adds a place and what it can step over without reading.
  const add = (row: number[], start: number): void => {
    for (let place = start; stamps[place] !== stamp; place++) {
      stamps[place] = stamp;
      row.push(place);
      const kind = tokens[place]?.kind;
      if (kind !== "star" && kind !== "everything" && kind !== "folders") return;
    }
  };
  const begin = (): number[] => {
    stamp++;
    const row: number[] = [];
    add(row, 0);
    return row;
  };
  return (text, before) => {
    let row: Places = before ?? begin();
    for (const char of text) {
      if (row.length === 0) return row;
      stamp++;
      const next: number[] = [];
      for (const place of row) {
        const token = tokens[place];
        if (token === undefined) continue;
        if (token.kind === "folders") {
          // The way out of `**/` is its slash alone.
          if (stamps[place] !== stamp) {
            stamps[place] = stamp;
            next.push(place);
          }
          if (char === "/") add(next, place + 1);
        } else if (token.kind === "everything" || (token.kind === "star" && char !== "/")) {
          add(next, place);
        } else if (accepts(token, char)) {
          add(next, place + 1);
        }
      }
      row = next;
    }
    return row;
  };
}

function accepts(token: Token, char: string): boolean {
  switch (token.kind) {
    case "char":
      return token.char === char;
    case "any":
      return char !== "/";
    case "class":
      return token.ranges.some(([low, high]) => low <= char && char <= high) !== token.isNegated;
    default:
      return false;
  }
}
