import { cleanText } from "./clean-text.ts";
import { fitText, textWidth } from "./fit-text.ts";
import { formatSize } from "./format-size.ts";
import { type EndedStep, type LiveStep, type LiveSteps, sum } from "./live-steps.ts";
import type { Style } from "./style.ts";

/** How many lines of output stand below a step that runs. */
const LOG_LINES = 5;
const BAR_COLUMNS = 16;
const SPINNER = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

export interface FrameOptions {
  readonly style: Style;
  readonly columns: number;
  readonly rows: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** When the build began. */
  readonly startTime: number;
}

/** The part of the live view that changes: what runs now, each with the end of its output, and the count. No line is wider than `columns`. */
export function drawFrame({ running, counts }: LiveSteps, options: FrameOptions): readonly string[] {
  const { rows, now, startTime, style, columns } = options;
  const steps = [...running.values()];
  // One row stays free below the count, for the cursor.
  const shown = steps.slice(0, Math.max(1, rows - 3));
  const hidden = steps.length - shown.length;
  let freeRows = Math.max(0, rows - 2 - shown.length - (hidden > 0 ? 1 : 0));
  const lines: string[] = [];
  for (const [position, step] of shown.entries()) {
    const share = Math.floor(freeRows / (shown.length - position));
    const logLines = step.lines.concat(openLines(step)).slice(-Math.min(LOG_LINES, share));
    freeRows -= Math.min(LOG_LINES, share, logLines.length);
    lines.push(drawRunning(step, options));
    if (share === 0) continue;
    for (const line of logLines) lines.push(style("dim", fitText(`   │ ${line}`, columns)));
  }
  if (hidden > 0) lines.push(style("dim", fitText(`   and ${hidden} more`, columns)));
  const cached = counts.cached === 0 ? "" : `, ${counts.cached} cached`;
  const text = `${formatSeconds(now - startTime)}  ${counts.ended}/${counts.started} done${cached}`;
  return [...lines, style("bold", fitText(text, columns))];
}

/** The line that stays when a step has ended. */
export function drawEnded(
  step: EndedStep,
  { style, columns }: Pick<FrameOptions, "style" | "columns">,
): string {
  const marks = { done: "✔", cached: "✔", failed: "✘", canceled: "-" } as const;
  const tones = { done: "green", cached: "cyan", failed: "red", canceled: "dim" } as const;
  const size = step.bytes === 0 ? "" : `${formatSize(step.bytes)}  `;
  const times = {
    done: `${size}${formatSeconds(step.durationMs)}`,
    cached: "cached",
    failed: `failed  ${formatSeconds(step.durationMs)}`,
    canceled: "canceled",
  };
  const [name, gap, right] = justify(step.name, times[step.outcome], columns);
  return `${style(tones[step.outcome], marks[step.outcome])} ${name}${gap}${style("dim", right)}`;
}

function drawRunning(step: LiveStep, { style, columns, now }: FrameOptions): string {
  const elapsed = Math.max(0, now - step.startTime);
  const mark = SPINNER[Math.floor(now / 100) % SPINNER.length]!;
  const figures = `${formatBytes(step, elapsed)}${formatSeconds(elapsed)}`;
  const bar = drawBar(step);
  const hasBar = bar !== "" && textWidth(step.name) + bar.length + figures.length + 3 <= columns;
  const [name, gap, right] = justify(step.name, hasBar ? bar + figures : figures, columns);
  return `${style("yellow", mark)} ${name}${gap}${style("dim", right)}`;
}

/** `━━━━━━╌╌╌╌╌╌╌╌╌╌  `, where it is known how much there is to do. */
function drawBar(step: LiveStep): string {
  const { done, total = 0 } = sum(step);
  if (total === 0) return "";
  const filled = Math.floor(Math.min(1, done / total) * BAR_COLUMNS);
  return `${"━".repeat(filled)}${"╌".repeat(BAR_COLUMNS - filled)}  `;
}

/** `12.1MB / 30.2MB  4.03MB/s  ` */
function formatBytes(step: LiveStep, elapsedMs: number): string {
  if (step.bytes.size === 0) return "";
  const { done, total } = sum(step);
  const of = total === undefined || total === 0 ? "" : ` / ${formatSize(total)}`;
  const rate = elapsedMs < 500 ? "" : `  ${formatSize((done * 1000) / elapsedMs)}/s`;
  return `${formatSize(done)}${of}${rate}  `;
}

/** A name on the left and its figures on the right of a line that begins with a mark and a space. */
function justify(
  name: string,
  right: string,
  columns: number,
): readonly [name: string, gap: string, right: string] {
  const room = columns - 2;
  // In a narrow terminal the bytes go first, for the time says that something happens.
  const figures = right.length + 12 > room ? (right.split("  ").at(-1) ?? "") : right;
  const fitted = fitText(name, room - figures.length - 1);
  return [fitted, " ".repeat(Math.max(1, room - textWidth(fitted) - figures.length)), figures];
}

function openLines(step: LiveStep): string[] {
  return [step.logs.stdout.open, step.logs.stderr.open].filter((line) => line !== "").map(cleanText);
}

export function formatSeconds(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`;
}
