import { formatTable } from "./format-table.ts";
import type { GoValue } from "./template/go-value.ts";
import { parseTemplate, type Template } from "./template/parse-template.ts";
import { runTemplate } from "./template/run-template.ts";
import type { TemplateFunctions } from "./template/template-functions.ts";

export interface RowsFormat {
  /** The columns without `--format`, as a template: `{{.ID}}\t{{.Size}}`. */
  readonly columns: string;
  /** What stands over each field. */
  readonly headings: Readonly<Record<string, string>>;
}

/** Prints rows. Made before the rows are looked for, so that a wrong `--format` is told at once. */
export type RowsFormatter = (rows: readonly object[]) => string;

/** In a heading they leave the text as it is (docker's HeaderFunctions). */
const HEADING_FUNCTIONS: TemplateFunctions = Object.fromEntries(
  ["json", "title", "lower", "upper", "truncate"].map((name) => [name, (value: GoValue) => value]),
);

/**
 * Docker's `--format` of lists: `table` (the default), `table TEMPLATE`, `json` (an object a line) or a template for each line, in which
 * `\t` and `\n` may be written so.
 *
 * @throws BuildError `option-invalid` for what is no template.
 */
export function makeRowsFormatter(
  format: string | undefined,
  { columns, headings }: RowsFormat,
): RowsFormatter {
  const [, isTable, rest] = /^(table(?:\s+|$))?(.*)$/s.exec(format ?? "")!;
  const text = rest === "" ? columns : rest === "json" ? "{{json .}}" : rest!;
  const template = parseTemplate(text.replaceAll("\\t", "\t").replaceAll("\\n", "\n"));
  if (isTable === undefined && rest !== "") {
    return (rows) => rows.map((row) => `${runTemplate(template, row)}\n`).join("");
  }
  return (rows) => formatTable(listCells(template, headings, rows));
}

function listCells(template: Template, headings: object, rows: readonly object[]): string[][] {
  const heading = runTemplate(template, headings, HEADING_FUNCTIONS);
  return [heading, ...rows.map((row) => runTemplate(template, row))].map((line) => line.split("\t"));
}
