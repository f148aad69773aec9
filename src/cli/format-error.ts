import { BuildError } from "../errors/build-error.ts";
import { cleanText } from "../progress/clean-text.ts";
import { makeStyle, type Style } from "../progress/style.ts";
import { formatSource } from "./format-source.ts";

export interface FormatErrorOptions {
  readonly color: boolean;
  /** Tell the causes, and where in the code it happened. */
  readonly isDebug: boolean;
  /** Texts that spans point into and that are no files, by name. */
  readonly sources: ReadonlyMap<string, string>;
}

/** An error for people: what is wrong, the place in the Dockerfile, the end of the RUN's output, and what to do. Ends with a line end. */
export function formatError(error: unknown, options: FormatErrorOptions): string {
  const style = makeStyle(options.color);
  const parts = error instanceof BuildError ? formatExpected(error, style, options) : formatBug(error, style);
  if (options.isDebug) parts.push(...formatCauses(error, style));
  return `${parts.join("\n")}\n`;
}

function formatExpected(error: BuildError, style: Style, { sources }: FormatErrorOptions): string[] {
  const lines = [`${style("red", "Error:")} ${style("bold", cleanLines(error.message))}`];
  if (error.span !== undefined)
    lines.push("", ...formatSource(error.span, style, { sources, message: error.message }));
  const logTail = (error.logTail ?? []).map(cleanText);
  if (logTail.some((line) => line !== "")) {
    lines.push(
      "",
      "The last lines of its output:",
      ...logTail.map((line) => `  ${style("dim", "│")} ${line}`),
    );
  }
  if (error.exitCode !== undefined && !error.message.includes(`exit code ${error.exitCode}`)) {
    lines.push("", `Exit code: ${error.exitCode}`);
  }
  if (error.hint !== undefined) lines.push("", `${style("cyan", "Hint:")} ${cleanLines(error.hint)}`);
  return lines;
}

function formatBug(error: unknown, style: Style): string[] {
  const stack = error instanceof Error ? (error.stack ?? String(error)) : String(error);
  return [
    `${style("red", "This is a bug in slipway.")} Please report it, with the command that you gave and these lines:`,
    "",
    `slipway on Node ${process.version}, ${process.platform} ${process.arch}`,
    stack,
  ];
}

function formatCauses(error: unknown, style: Style): string[] {
  const lines: string[] = [];
  if (error instanceof BuildError) lines.push("", style("dim", error.stack ?? ""));
  for (let cause = causeOf(error); cause !== undefined; cause = causeOf(cause)) {
    const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    lines.push("", `${style("bold", "Caused by:")} ${style("dim", text)}`);
  }
  return lines;
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

/** Messages quote what the user and registries wrote. */
function cleanLines(text: string): string {
  return text.split("\n").map(cleanText).join("\n");
}
