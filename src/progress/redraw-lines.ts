import { stripVTControlCharacters } from "node:util";
import { textWidth } from "./fit-text.ts";
import type { ProgressStream } from "./renderer.ts";

const WIDTH_DEFAULT = 80;
const HEIGHT_DEFAULT = 24;

/** How large a stream's terminal is now; 80 by 24 when it does not say. */
export function terminalSize({ columns, rows }: ProgressStream): {
  readonly columns: number;
  readonly rows: number;
} {
  return { columns: columns || WIDTH_DEFAULT, rows: rows || HEIGHT_DEFAULT };
}

/**
 * Makes a function that writes `settled`, lines that stay, and below them `lines` in place of those of the call before. `lines` must be
 * narrower than the terminal and fewer than its rows.
 *
 * Each call is one write, between the marks of a synchronized update (DEC private mode 2026), and writes only lines that differ. The
 * cursor is hidden in it and shown at its end, so that it is there however the process dies.
 */
export function makeRedrawLines(
  stream: ProgressStream,
): (settled: readonly string[], lines: readonly string[]) => void {
  let previous: readonly string[] = [];
  let size = terminalSize(stream);
  return (settled, lines) => {
    const { columns, rows } = terminalSize(stream);
    // Terminals that became narrower have wrapped what is on them.
    const height = previous.reduce((sum, line) => sum + Math.max(1, Math.ceil(lineWidth(line) / columns)), 0);
    const isAnew = settled.length > 0 || columns !== size.columns || rows !== size.rows;
    if (!isAnew && previous.length === lines.length && lines.every((line, row) => line === previous[row]))
      return;
    const drawn = lines.map((line, row) => {
      if (isAnew) return `${line}\n`;
      return line === previous[row] ? "\n" : `${line}\u001b[K\n`;
    });
    const top = height === 0 ? "" : `\u001b[${height}A`;
    const kept = settled.map((line) => `${line}\n`).join("");
    const text = `${top}${isAnew ? `\r\u001b[J${kept}` : ""}${drawn.join("")}${isAnew ? "" : "\u001b[J"}`;
    stream.write(`\u001b[?2026h\u001b[?25l${text}\u001b[?25h\u001b[?2026l`);
    previous = lines;
    size = { columns, rows };
  };
}

function lineWidth(line: string): number {
  return textWidth(stripVTControlCharacters(line));
}
