import { BuildError } from "../errors/build-error.ts";
import type { Suggester } from "../errors/suggest-nearest.ts";
import { isSpace } from "./is-space.ts";
import { type PatternBudget, replacePattern, trimPatternPrefix, trimPatternSuffix } from "./shell-pattern.ts";
import { shorten } from "./shorten.ts";
import type { EscapeCharacter } from "./syntax-tree.ts";
import { type Environment, findVariable, readVariableName } from "./variable.ts";
import { makeWordList, type WordList } from "./word-list.ts";

export interface ExpandOptions {
  /** The Dockerfile's escape character; a backslash when absent. */
  readonly escape?: EscapeCharacter;
  /** Quotes stay in the result. They still quote. */
  readonly rawQuotes?: boolean;
  /** Escape characters stay in the result. They still escape. */
  readonly rawEscapes?: boolean;
  /** Quotes are ordinary characters, as in the body of a heredoc. */
  readonly ignoreQuotes?: boolean;
  /** A variable that is not set stays as it is written. */
  readonly keepUnset?: boolean;
  /** Windows: names of variables match in any case. */
  readonly ignoreCase?: boolean;
  /** A longer result is an error; `MAX_EXPANDED_LENGTH` when absent. */
  readonly maxLength?: number;
  /** Shared by many expansions: what all their patterns may cost together. */
  readonly budget?: PatternBudget;
  /** Finds the variable that the name in a failed `${v:?}` most likely meant, for the error's hint. */
  readonly suggest?: Suggester;
}

export interface Expansion {
  readonly result: string;
  /** The result split at white space that was neither quoted nor escaped. */
  readonly words: readonly string[];
  /** Names of variables that were looked up and found. */
  readonly matched: ReadonlySet<string>;
  /** Names of variables that were looked up and are not set. */
  readonly unmatched: ReadonlySet<string>;
}

/** DIFFERS: a limit, in characters. An expansion bomb (`ENV B=$A$A`, and so on) ends here; Linux takes at most 128 KiB for one variable. */
export const MAX_EXPANDED_LENGTH = 1 << 20;

/** Value times pattern, in characters, for all patterns of one expansion. */
export const MAX_PATTERN_WORK = 2e8;

const MAX_NESTING = 200;

/**
 * Expands `$v`, `${v}` and their operators in one word and takes its quotes and escapes away (Dockerfile reference,
 * "Environment replacement"; POSIX shell, 2.6.2).
 *
 * @throws BuildError `variable-invalid` for an unfinished quote or brace, a bad operator, and `${v:?message}`.
 */
export function expandWord(word: string, env: Environment, options: ExpandOptions = {}): string {
  return isPlain(word, options) ? word : expand(word, env, options).result;
}

/** Expands, then splits at white space that is neither quoted nor escaped; empty words are dropped. Throws as `expandWord`. */
export function expandWords(word: string, env: Environment, options: ExpandOptions = {}): readonly string[] {
  return expand(word, env, options).words;
}

/** `expandWord` and `expandWords` in one, with the names of the variables that were met. Throws as they do. */
export function expand(word: string, env: Environment, options: ExpandOptions = {}): Expansion {
  const scan: Scan = {
    text: word,
    at: 0,
    env,
    options,
    escapeMark: options.escape ?? "\\",
    rawEscapes: options.rawEscapes ?? false,
    depth: 0,
    room: options.maxLength ?? MAX_EXPANDED_LENGTH,
    matched: new Set(),
    unmatched: new Set(),
    budget: options.budget ?? { patternWork: MAX_PATTERN_WORK },
  };
  const { result, words } = scanUntil(scan, "");
  return { result, words: words.finish(), matched: scan.matched, unmatched: scan.unmatched };
}

function isPlain(word: string, options: ExpandOptions): boolean {
  return !/[$'"\\`<]/.test(word) && word.length <= (options.maxLength ?? MAX_EXPANDED_LENGTH);
}

interface Scan {
  readonly text: string;
  at: number;
  readonly env: Environment;
  readonly options: ExpandOptions;
  readonly escapeMark: EscapeCharacter;
  rawEscapes: boolean;
  depth: number;
  /** How many characters expansions may still add. */
  room: number;
  readonly matched: Set<string>;
  readonly unmatched: Set<string>;
  readonly budget: PatternBudget;
}

function refuse(scan: Scan, problem: string, hint?: string): never {
  throw new BuildError("variable-invalid", `Cannot expand "${shorten(scan.text)}": ${problem}`, { hint });
}

/** Reads up to the character `stop`, which is consumed; to the end of the text when `stop` is empty. */
function scanUntil(scan: Scan, stop: string): { result: string; words: WordList } {
  let result = "";
  const words = makeWordList();
  const { text, escapeMark, options } = scan;
  if (++scan.depth > MAX_NESTING) {
    throw new BuildError(
      "input-limit",
      `Cannot expand "${shorten(text)}": more than ${MAX_NESTING} nested substitutions`,
    );
  }
  while (scan.at < text.length) {
    const char = text[scan.at]!;
    if (char === stop) {
      scan.at++;
      scan.depth--;
      return { result, words };
    }
    let piece: string;
    if (char === "$") {
      piece = expandDollar(scan);
      words.add(piece);
    } else if (char === "'" && !options.ignoreQuotes) {
      piece = readSingleQuoted(scan);
      words.addRaw(piece);
    } else if (char === '"' && !options.ignoreQuotes) {
      piece = readDoubleQuoted(scan);
      words.addRaw(piece);
    } else if (char === "<") {
      piece = readHeredocMark(scan);
      words.addRaw(piece);
    } else if (char === escapeMark) {
      const escaped = scan.at + 1 < text.length ? String.fromCodePoint(text.codePointAt(scan.at + 1)!) : "";
      piece = (scan.rawEscapes ? char : "") + escaped;
      scan.at += 1 + escaped.length;
      words.addRaw(piece);
    } else {
      piece = readPlain(scan, stop);
      words.add(piece);
    }
    result += piece;
    checkRoom(scan, result.length);
  }
  if (stop !== "") refuse(scan, `the "${stop}" that ends a "\${" is missing`);
  scan.depth--;
  return { result, words };
}

function checkRoom(scan: Scan, length: number): void {
  if (length <= scan.room) return;
  throw new BuildError(
    "input-limit",
    `Cannot expand "${shorten(scan.text)}": the result is longer than ${scan.room} characters`,
  );
}

function readPlain(scan: Scan, stop: string): string {
  const start = scan.at++;
  const { text } = scan;
  for (; scan.at < text.length; scan.at++) {
    const char = text[scan.at]!;
    if (
      char === stop ||
      char === "$" ||
      char === "'" ||
      char === '"' ||
      char === "<" ||
      char === scan.escapeMark
    )
      break;
  }
  return text.slice(start, scan.at);
}

/** `<<` keeps the white space after it: `RUN << EOF` names one heredoc, it is not two words. */
function readHeredocMark(scan: Scan): string {
  const start = scan.at++;
  if (scan.text[scan.at] !== "<") return "<";
  scan.at++;
  if (scan.text[scan.at] === "-") scan.at++;
  while (scan.at < scan.text.length && isSpace(scan.text.charCodeAt(scan.at))) scan.at++;
  return scan.text.slice(start, scan.at);
}

function readSingleQuoted(scan: Scan): string {
  const end = scan.text.indexOf("'", scan.at + 1);
  if (end < 0) refuse(scan, "a single quote is not closed");
  const quoted = scan.options.rawQuotes
    ? scan.text.slice(scan.at, end + 1)
    : scan.text.slice(scan.at + 1, end);
  scan.at = end + 1;
  return quoted;
}

/** Inside double quotes the escape character escapes only a quote, a dollar and itself; elsewhere it stays. */
function readDoubleQuoted(scan: Scan): string {
  const { text, escapeMark } = scan;
  const quote = scan.options.rawQuotes ? '"' : "";
  let result = quote;
  scan.at++;
  while (scan.at < text.length) {
    const char = text[scan.at]!;
    if (char === '"') {
      scan.at++;
      return result + quote;
    }
    if (char === "$") {
      result += expandDollar(scan);
      checkRoom(scan, result.length);
    } else if (char === escapeMark) {
      scan.at++;
      if (scan.rawEscapes) result += char;
      const next = text[scan.at];
      if (next === undefined) break;
      if (next === '"' || next === "$" || next === escapeMark) {
        result += next;
        scan.at++;
      } else {
        result += char;
      }
    } else {
      const start = scan.at++;
      while (
        scan.at < text.length &&
        text[scan.at] !== '"' &&
        text[scan.at] !== "$" &&
        text[scan.at] !== escapeMark
      ) {
        scan.at++;
      }
      result += text.slice(start, scan.at);
    }
  }
  return refuse(scan, "a double quote is not closed");
}

function expandDollar(scan: Scan): string {
  const start = scan.at++;
  if (scan.text[scan.at] !== "{") {
    const name = readName(scan);
    if (name === "") return "$";
    const value = lookUp(scan, name);
    return value ?? (scan.options.keepUnset ? scan.text.slice(start, scan.at) : "");
  }
  scan.at++;
  const first = scan.text[scan.at];
  if (first === undefined) refuse(scan, 'the "}" that ends a "${" is missing');
  if (first === "{" || first === "}" || first === ":") refuse(scan, `"\${${first}" names no variable`);
  const name = readName(scan);
  const operator = scan.text[scan.at++];
  switch (operator) {
    case "}": {
      const value = lookUp(scan, name);
      return value ?? (scan.options.keepUnset ? scan.text.slice(start, scan.at) : "");
    }
    case ":": {
      const modifier = scan.text[scan.at++] ?? "";
      return applyModifier(scan, { name, modifier, emptyIsUnset: true });
    }
    case "+":
    case "-":
    case "?":
    case "#":
    case "%":
      return applyModifier(scan, { name, modifier: operator, emptyIsUnset: false });
    case "/":
      return applyReplacement(scan, name);
    case undefined:
      return refuse(scan, 'the "}" that ends a "${" is missing');
    default:
      return refuse(scan, `"${operator}" is no operator of a substitution`);
  }
}

function hintVariable({ env, options }: Scan, name: string): string | undefined {
  const nearest = options.suggest?.(name, env instanceof Map ? env.keys() : Object.keys(env));
  return nearest && `Did you mean "${nearest}"?`;
}

interface Modifier {
  readonly name: string;
  readonly modifier: string;
  readonly emptyIsUnset: boolean;
}

function applyModifier(scan: Scan, { name, modifier, emptyIsUnset }: Modifier): string {
  const isTrim = modifier === "#" || modifier === "%";
  const operand = readOperand(scan, "}", isTrim);
  const value = lookUp(scan, name);
  if (value === undefined && scan.options.keepUnset) {
    return `\${${name}${emptyIsUnset ? ":" : ""}${modifier}${operand}}`;
  }
  const isSet = value !== undefined && !(emptyIsUnset && value === "");
  switch (modifier) {
    case "-":
      return isSet ? value : operand;
    case "+":
      return isSet ? operand : "";
    case "?":
      if (isSet) return value;
      return refuse(
        scan,
        `${name}: ${operand || `is not allowed to be ${value === undefined ? "unset" : "empty"}`}`,
        value === undefined ? hintVariable(scan, name) : undefined,
      );
    case "#":
    case "%": {
      if (emptyIsUnset) break;
      const isLongest = operand.startsWith(modifier);
      const pattern = isLongest ? operand.slice(1) : operand;
      const trim = modifier === "#" ? trimPatternPrefix : trimPatternSuffix;
      return trim(value ?? "", pattern, { longest: isLongest, budget: scan.budget });
    }
  }
  return refuse(scan, `"${emptyIsUnset ? ":" : ""}${modifier}" is no operator of a substitution`);
}

function applyReplacement(scan: Scan, name: string): string {
  const all = scan.text[scan.at] === "/";
  if (all) scan.at++;
  const pattern = readOperand(scan, "/", true);
  const replacement = readOperand(scan, "}", true);
  const value = lookUp(scan, name);
  if (value === undefined && scan.options.keepUnset)
    return `\${${name}/${all ? "/" : ""}${pattern}/${replacement}}`;
  return replacePattern(value ?? "", pattern, {
    replacement,
    all,
    maxLength: scan.room,
    budget: scan.budget,
  });
}

/** Patterns keep their escapes: `\*` is a literal star there. */
function readOperand(scan: Scan, stop: string, rawEscapes: boolean): string {
  const before = scan.rawEscapes;
  scan.rawEscapes = rawEscapes;
  const { result } = scanUntil(scan, stop);
  scan.rawEscapes = before;
  return result;
}

function readName(scan: Scan): string {
  const name = readVariableName(scan.text, scan.at);
  scan.at += name.length;
  return name;
}

function lookUp(scan: Scan, name: string): string | undefined {
  const value = findVariable(scan.env, name, scan.options.ignoreCase ?? false);
  (value === undefined ? scan.unmatched : scan.matched).add(name);
  return value;
}
