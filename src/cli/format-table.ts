/** docker's least width of a column, with the gap behind it. */
const COLUMN_WIDTH_MIN = 10;
const GAP = 3;

export interface TableLayout {
  /** Of a column, the gap included. */
  readonly minWidth?: number;
  /** Spaces behind the widest cell. */
  readonly gap?: number;
}

/** Columns as docker aligns them: at least three spaces between, the last one ragged. The first row is the heading. */
export function formatTable(
  rows: readonly (readonly string[])[],
  { minWidth = COLUMN_WIDTH_MIN, gap = GAP }: TableLayout = {},
): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(minWidth, ...rows.map((row) => (row[column] ?? "").length + gap)),
  );
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(""))
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}
