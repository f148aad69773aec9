import { BuildError } from "../errors/build-error.ts";
import { isBlank, isSpace, skipSpaces } from "./is-space.ts";
import { shorten } from "./shorten.ts";
import type { EscapeCharacter, SyntaxPair } from "./syntax-tree.ts";

const BLANKS = /[\t\v\f\r ]+/;

/** What an instruction's arguments are, in the form that its syntax has. */
export interface ParsedArguments {
  readonly arguments: readonly string[];
  readonly isJson: boolean;
  readonly pairs?: readonly SyntaxPair[];
}

/**
 * Splits the text after the keyword and its flags in the way of the instruction; ONBUILD is for the caller, unknown
 * keywords have no arguments.
 *
 * @throws BuildError `dockerfile-syntax`.
 */
export function parseArguments(keyword: string, rest: string, escapeMark: EscapeCharacter): ParsedArguments {
  switch (keyword) {
    case "add":
    case "copy":
    case "volume":
      return parseJsonArray(rest) ?? plain(splitBlanks(rest));
    case "cmd":
    case "entrypoint":
    case "run":
    case "shell":
      return parseJsonArray(rest) ?? plain(wholeLine(rest));
    case "arg":
      return plain(splitWords(rest, escapeMark));
    case "expose":
    case "from":
      return plain(splitBlanks(rest));
    case "maintainer":
    case "stopsignal":
    case "user":
    case "workdir":
      return plain(wholeLine(rest));
    case "env":
    case "label":
      return { ...plain([]), pairs: parsePairs(keyword, rest, escapeMark) };
    case "healthcheck":
      return parseHealthcheck(rest);
    default:
      return plain([]);
  }
}

function plain(values: readonly string[]): ParsedArguments {
  return { arguments: values, isJson: false };
}

function wholeLine(rest: string): readonly string[] {
  return rest === "" ? [] : [rest];
}

/** At blanks, which `rest` neither begins nor ends with. */
function splitBlanks(rest: string): readonly string[] {
  const words: string[] = [];
  let start = 0;
  for (let at = 0; at < rest.length; at++) {
    if (!isBlank(rest.charCodeAt(at))) continue;
    words.push(rest.slice(start, at));
    while (isBlank(rest.charCodeAt(at + 1))) at++;
    start = at + 1;
  }
  if (start < rest.length) words.push(rest.slice(start));
  return words;
}

/** HEALTHCHECK: a type, then a command as RUN has it. */
function parseHealthcheck(rest: string): ParsedArguments {
  if (rest === "") return plain([]);
  let end = 0;
  while (end < rest.length && !isSpace(rest.charCodeAt(end))) end++;
  const command = rest.slice(skipSpaces(rest, end));
  const parsed = parseJsonArray(command) ?? plain(wholeLine(command));
  return { ...parsed, arguments: [rest.slice(0, end), ...parsed.arguments] };
}

/**
 * The values of a JSON array of strings; undefined when the text is no JSON array at all, which makes it a shell form.
 *
 * @throws BuildError `dockerfile-syntax` for a JSON array that holds something else.
 */
export function parseJsonArray(text: string): ParsedArguments | undefined {
  const trimmed = text.trimStart();
  if (!trimmed.startsWith("[")) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(trimmed);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parsed)) return undefined;
  if (!parsed.every((value) => typeof value === "string")) {
    throw new BuildError(
      "dockerfile-syntax",
      `Cannot parse "${shorten(text)}": when using JSON array syntax, arrays must be comprised of strings only`,
    );
  }
  return { arguments: parsed, isJson: true };
}

/** Words at white space, quotes and escapes respected and kept. An escape character at the very end is dropped. */
export function splitWords(text: string, escapeMark: EscapeCharacter): readonly string[] {
  const words: string[] = [];
  let at = 0;
  while (true) {
    while (at < text.length && isSpace(text.charCodeAt(at))) at++;
    if (at >= text.length) return words;
    const start = at;
    let quote = "";
    for (; at < text.length; at++) {
      const char = text[at]!;
      if (char === escapeMark && quote !== "'") {
        at++;
      } else if (quote !== "") {
        if (char === quote) quote = "";
      } else if (char === "'" || char === '"') {
        quote = char;
      } else if (isSpace(text.charCodeAt(at))) {
        break;
      }
    }
    // The loop stepped over the end only when the last character was an escape.
    const end = at > text.length ? text.length - 1 : at;
    if (end > start) words.push(text.slice(start, end));
  }
}

function parsePairs(keyword: string, rest: string, escapeMark: EscapeCharacter): readonly SyntaxPair[] {
  const words = splitWords(rest, escapeMark);
  if (words.length === 0) return [];
  if (!words[0]!.includes("=")) {
    const blank = BLANKS.exec(rest);
    if (blank === null) {
      throw new BuildError(
        "dockerfile-syntax",
        `Cannot parse "${keyword.toUpperCase()} ${shorten(rest)}": ${keyword.toUpperCase()} must have two arguments`,
        { hint: `Write ${keyword.toUpperCase()} NAME=VALUE` },
      );
    }
    return [
      { key: rest.slice(0, blank.index), value: rest.slice(blank.index + blank[0].length), hasEquals: false },
    ];
  }
  return words.map((word) => {
    const equals = word.indexOf("=");
    if (equals < 0) {
      throw new BuildError(
        "dockerfile-syntax",
        `Cannot parse "${keyword.toUpperCase()} ${shorten(rest)}": can't find = in "${shorten(word)}", must be of the form: name=value`,
        { hint: 'A value that holds blanks stands in quotes: NAME="a b"' },
      );
    }
    return { key: word.slice(0, equals), value: word.slice(equals + 1), hasEquals: true };
  });
}
