import { isBlank, isSpace, skipSpaces, trimSpaces } from "./is-space.ts";

export interface Command {
  readonly keyword: string;
  readonly flags: readonly string[];
  /** What follows the flags, trimmed. */
  readonly rest: string;
}

/** Cuts a logical line into keyword, `--flags` and the rest. `--` alone ends the flags. */
export function splitCommand(line: string): Command {
  const trimmed = trimSpaces(line);
  const end = findBlank(trimmed);
  if (end < 0) return { keyword: trimmed, flags: NONE, rest: "" };
  const keyword = trimmed.slice(0, end);
  const start = skipSpaces(trimmed, end);
  // It is trimmed at its end.
  if (!trimmed.startsWith("--", start)) return { keyword, flags: NONE, rest: trimmed.slice(start) };
  const { flags, at } = readFlags(trimmed, start);
  return { keyword, flags, rest: trimSpaces(trimmed.slice(at)) };
}

const NONE: readonly string[] = Object.freeze([]);

function findBlank(text: string): number {
  for (let at = 0; at < text.length; at++) {
    if (isBlank(text.charCodeAt(at))) return at;
  }
  return -1;
}

function readFlags(text: string, start: number): { flags: readonly string[]; at: number } {
  const flags: string[] = [];
  let at = start;
  while (true) {
    at = skipSpaces(text, at);
    if (!text.startsWith("--", at)) return { flags, at };
    const word = readFlag(text, at);
    at = word.at;
    if (word.text === "--") return { flags, at };
    flags.push(word.text);
  }
}

/** One flag, quotes taken off. A backslash escapes here whatever the escape directive says. */
function readFlag(text: string, start: number): { text: string; at: number } {
  let word = "";
  let quote = "";
  let at = start;
  for (; at < text.length; at++) {
    const char = text[at]!;
    if (char === "\\") {
      word += text[++at] ?? "";
    } else if (quote !== "") {
      if (char === quote) quote = "";
      else word += char;
    } else if (char === "'" || char === '"') {
      quote = char;
    } else if (isSpace(text.charCodeAt(at))) {
      break;
    } else {
      word += char;
    }
  }
  return { text: word, at: Math.min(at, text.length) };
}
