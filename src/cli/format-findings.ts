import type { SourceSpan } from "../errors/build-error.ts";
import { cleanText } from "../progress/clean-text.ts";
import type { Style } from "../progress/style.ts";

/** A finding as people read it. */
export interface Finding {
  readonly rule: string;
  readonly detail: string;
  readonly description: string;
  readonly url: string;
  readonly span: SourceSpan;
}

/** A Dockerfile as messages show it. */
export interface NamedText {
  readonly name: string;
  readonly text: string;
}

/** `1 warning found`: what a build's checks found, a line each; all about them with `isDebug`. As docker ends a build. */
export function formatFindings(
  findings: readonly Finding[],
  {
    dockerfile,
    isDebug,
    style,
  }: { readonly dockerfile: NamedText; readonly isDebug: boolean; readonly style: Style },
): string {
  if (findings.length === 0) return "";
  const count = findings.length === 1 ? "1 warning found" : `${findings.length} warnings found`;
  const lines = [style("yellow", ` ${count}${isDebug ? "" : " (use --debug to expand)"}:`)];
  for (const { rule, detail, description, url, span } of findings) {
    lines.push(` - ${rule}: ${cleanText(detail)} (line ${span.startLine})`);
    if (isDebug) lines.push(description, `More info: ${url}`, ...formatExcerpt(span, dockerfile), "");
  }
  if (!isDebug) lines.push("");
  return `${lines.join("\n")}\n`;
}

/** A finding in the form of `--check`. */
export function formatFinding({ rule, detail, url, span }: Finding, dockerfile: NamedText): string {
  return `\nWARNING: ${rule} - ${url}\n${cleanText(detail)}\n${formatExcerpt(span, dockerfile).join("\n")}\n`;
}

/** The lines of a place with some around them, as BuildKit shows them. */
function formatExcerpt({ startLine, endLine }: SourceSpan, { name, text }: NamedText): readonly string[] {
  const lines = text.split("\n");
  let first = startLine;
  let last = Math.min(endLine, lines.length);
  for (let more = startLine === endLine ? 2 : 1; more > 0; more--) {
    if (first > 1) first--;
    if (last < lines.length) last++;
  }
  const rule = "--------------------";
  const shown = lines.slice(first - 1, last).map((line, i) => {
    const number = first + i;
    const mark = number >= startLine && number <= endLine ? ">>>" : "   ";
    return ` ${String(number).padStart(3)} | ${mark} ${cleanText(line.replace(/\r$/, ""))}`.trimEnd();
  });
  return [`${cleanText(name)}:${startLine}`, rule, ...shown, rule];
}
