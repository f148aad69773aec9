import { readFileSync } from "node:fs";
import stringWidth from "string-width";
import type { SourceSpan } from "../errors/build-error.ts";
import { type FaultPlace, findFault } from "../errors/find-fault.ts";
import { cleanText } from "../progress/clean-text.ts";
import type { Style } from "../progress/style.ts";
import { shortPath } from "./short-path.ts";

/** How many lines are shown around the marked ones. */
const AROUND = 2;
/** How many marked lines are shown, first and last ones; a heredoc may be long. */
const MARKED_MAX = 14;

export interface SourceOptions {
  /** Texts that spans point into and that are no files, by name. */
  readonly sources: ReadonlyMap<string, string>;
  /** The error's: what it quotes is marked. */
  readonly message?: string;
}

/**
 * `Dockerfile:12:1`, and the lines of the text with the place marked. The text is looked up in `sources`, then on disk; where
 * it is in neither, only the place is told.
 */
export function formatSource(
  span: SourceSpan,
  style: Style,
  { sources, message = "" }: SourceOptions,
): readonly string[] {
  const text = readSource(span.file, sources)?.split(/\r?\n/);
  const fault = text && findFault(message, span, text);
  const startColumn = fault?.line === span.startLine ? fault.startColumn : span.startColumn;
  const column = startColumn === undefined ? "" : `:${startColumn}`;
  const lines = [style("cyan", `${shortPath(span.file)}:${span.startLine}${column}`)];
  if (text === undefined || text.length < span.startLine) return lines;
  if (text.at(-1) === "") text.pop();

  const first = Math.max(1, span.startLine - AROUND);
  const last = Math.min(text.length, span.endLine + AROUND);
  const width = String(last).length;
  for (let number = first; number <= last; number++) {
    const isMarked = number >= span.startLine && number <= span.endLine;
    if (isMarked && isElided(number, span)) {
      if (number === span.startLine + MARKED_MAX / 2) lines.push(style("dim", `  ${" ".repeat(width)} │ …`));
      continue;
    }
    const gutter = `${isMarked ? style("red", ">") : " "} ${style("dim", `${String(number).padStart(width)} │`)}`;
    lines.push(`${gutter} ${cleanText(text[number - 1]!)}`.trimEnd());
    if (number === fault?.line) {
      const mark = underline(text[number - 1]!, fault);
      lines.push(`  ${" ".repeat(width)} ${style("dim", "│")} ${style("red", mark)}`);
    }
  }
  return lines;
}

function isElided(number: number, { startLine, endLine }: SourceSpan): boolean {
  if (endLine - startLine < MARKED_MAX) return false;
  return number >= startLine + MARKED_MAX / 2 && number <= endLine - MARKED_MAX / 2;
}

/** Carets under a part of a line; a wide character takes two columns of the terminal. */
function underline(line: string, { startColumn, endColumn }: FaultPlace): string {
  const before = cleanText(line.slice(0, startColumn - 1));
  const marked = cleanText(line.slice(startColumn - 1, endColumn - 1));
  return " ".repeat(stringWidth(before)) + "^".repeat(Math.max(1, stringWidth(marked)));
}

function readSource(file: string, sources: ReadonlyMap<string, string>): string | undefined {
  try {
    // A byte order mark is no part of the first line.
    return (sources.get(file) ?? readFileSync(file, "utf8")).replace(/^\uFEFF/, "");
  } catch {
    return undefined;
  }
}
