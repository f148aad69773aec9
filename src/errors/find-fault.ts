import type { SourceSpan } from "./build-error.ts";

/** A part of one line: 1-based, `endColumn` exclusive, in UTF-16 code units. */
export interface FaultPlace {
  readonly line: number;
  readonly startColumn: number;
  readonly endColumn: number;
}

/**
 * Where in an instruction the fault is that a message is about: the text that it quotes, if that stands there once. The message names it,
 * so whoever wrote the message need not know the place.
 *
 * @param lines those of the whole text.
 */
export function findFault(
  message: string,
  span: SourceSpan,
  lines: readonly string[],
): FaultPlace | undefined {
  const { startLine, startColumn, endColumn } = span;
  const first = lines[startLine - 1];
  if (first === undefined) return undefined;
  if (startColumn !== undefined && !coversLine(first, span)) {
    return { line: startLine, startColumn, endColumn: endColumn ?? first.length + 1 };
  }
  const keyword = /^\s*(\w*)/.exec(first)![1]!.toUpperCase();
  for (const quoted of quotedTexts(message)) {
    if (quoted.toUpperCase() === keyword) continue;
    const place = findOnce(quoted, span, lines);
    if (place !== undefined) return place;
  }
  return undefined;
}

/** What stands in quotes, the most telling first: what comes after the colon, then the value that could not be used. */
function quotedTexts(message: string): readonly string[] {
  const value = /^[^"]*"(.*?)"(?:: |$)/s.exec(message)?.[1];
  const reason = value === undefined ? message : message.slice(message.indexOf(value) + value.length + 1);
  const texts = [...reason.matchAll(/"([^"]+)"|'([^']+)'/g)].map(([, double, single]) => (double ?? single)!);
  if (value !== undefined) texts.push(value, value.replace(/^\//, ""));
  return texts.filter((text) => text.trim() !== "");
}

function findOnce(
  text: string,
  { startLine, endLine }: SourceSpan,
  lines: readonly string[],
): FaultPlace | undefined {
  let found: FaultPlace | undefined;
  // A heredoc may be long: what is wrong with an instruction stands at its beginning.
  for (let line = startLine; line <= Math.min(endLine, startLine + MAX_LINES); line++) {
    for (const at of occurrences(text, lines[line - 1] ?? "")) {
      if (found !== undefined) return undefined;
      found = { line, startColumn: at + 1, endColumn: at + 1 + text.length };
    }
  }
  return found;
}

const MAX_LINES = 50;

/** As whole words: `a` is not in `--chmod=a+x /bar`. */
function occurrences(text: string, line: string): readonly number[] {
  const found: number[] = [];
  for (let at = line.indexOf(text); at >= 0; at = line.indexOf(text, at + 1)) {
    const isPart = (char: string | undefined) => char !== undefined && /[\p{L}\p{N}_]/u.test(char);
    const beginsInside = isPart(line[at - 1]) && isPart(text[0]);
    const endsInside = isPart(line[at + text.length]) && isPart(text.at(-1));
    if (!beginsInside && !endsInside) found.push(at);
  }
  return found;
}

function coversLine(line: string, { startColumn = 1, endColumn = line.length + 1 }: SourceSpan): boolean {
  return line.slice(0, startColumn - 1).trim() === "" && line.slice(endColumn - 1).trim() === "";
}
