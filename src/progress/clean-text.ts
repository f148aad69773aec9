import { stripVTControlCharacters } from "node:util";

const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g;
/** Characters that make a terminal show a line in another order than it is written (Unicode UAX 9). */
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** Sequences that only colour what follows: SGR of ECMA-48. */
const COLORS = /(\u001b\[[0-9;:]*m)/;

/** One line of foreign text that is safe to show: no escape sequences, no control characters, tabs as spaces. */
export function cleanText(line: string): string {
  return strip(line).replaceAll("\t", "    ");
}

/** The same, but colours and tabs stay: for logs, where they are all that a program may do to the terminal. */
export function cleanLogLine(line: string): string {
  if (!line.includes("\u001b")) return strip(line);
  const parts = line.split(COLORS);
  const text = parts.map((part, position) => (position % 2 === 1 ? part : strip(part))).join("");
  return parts.length > 1 ? `${text}\u001b[0m` : text;
}

function strip(text: string): string {
  return stripVTControlCharacters(text).replace(CONTROL, "").replace(BIDI, "");
}
