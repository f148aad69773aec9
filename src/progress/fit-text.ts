import stringWidth from "string-width";

const ASCII = /^[\u0020-\u007e]*$/;
const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** How many columns of a terminal a clean text takes; the most that terminals give it where they differ (joined emoji). */
export function textWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += graphemeWidth(segment);
  return width;
}

/** The text, or its beginning and `…`, in at most `columns` columns. */
export function fitText(text: string, columns: number): string {
  if (columns <= 0) return "";
  // No more of a long line than could be shown, whatever its width.
  const start = text.slice(0, columns * GRAPHEME_MAX);
  if (start.length === text.length && textWidth(text) <= columns) return text;
  let width = 0;
  let fitted = "";
  for (const { segment } of graphemes.segment(start)) {
    width += graphemeWidth(segment);
    if (width > columns - 1) break;
    fitted += segment;
  }
  return `${fitted}…`;
}

/** Chars of one column that are looked at: marks may be piled up without end. */
const GRAPHEME_MAX = 16;

function graphemeWidth(grapheme: string): number {
  if (grapheme.length === 1) return stringWidth(grapheme);
  let parts = 0;
  for (const character of grapheme) parts += stringWidth(character);
  return Math.max(parts, stringWidth(grapheme));
}
