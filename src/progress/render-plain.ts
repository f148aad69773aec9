import { type CiSystem, closeSection, openSection } from "./ci-marks.ts";
import { cleanLogLine } from "./clean-text.ts";
import type { BuildEvent } from "./event.ts";
import { formatSize } from "./format-size.ts";
import { type LogLines, makeLogLines } from "./log-lines.ts";
import type { ProgressRenderer, ProgressStream } from "./renderer.ts";

/** How long the output of other steps waits for the step that is being shown, so that lines stay together. */
const HOLD_MS = 2_000;
/** How much of it waits at most, in lines. */
const HOLD_LINES = 1_000;
/** How often bytes are told. */
const BYTES_EVERY_MS = 5_000;

interface PlainStep {
  readonly number: number;
  readonly name: string;
  readonly startTime: number;
  readonly logs: { readonly stdout: LogLines; readonly stderr: LogLines };
  /** Lines that wait for their turn. */
  readonly held: string[];
  heldSince: number;
  /** By label: what was told last. */
  readonly bytes: Map<string, { toldTime: number; line: string; isTold: boolean }>;
  hasHeader: boolean;
  isEnded: boolean;
}

/**
 * Lines for logs, in the style of BuildKit's plain output: every line begins with the number of its step, and a step's lines
 * stand together as far as that makes nobody wait. In a CI system whose logs fold, each such group is folded.
 */
export function renderPlain(
  stream: ProgressStream,
  { ciSystem }: { readonly ciSystem?: CiSystem } = {},
): ProgressRenderer {
  const steps = new Map<string, PlainStep>();
  /** The step that is being shown. */
  let current: PlainStep | undefined;
  let count = 0;
  let isFirst = true;
  let sections = 0;
  let openId: string | undefined;
  const closeFold = (time: number): void => {
    if (openId !== undefined && ciSystem !== undefined)
      stream.write(closeSection(ciSystem, { id: openId, time }));
    openId = undefined;
  };
  const timer = setInterval(() => giveTurns(Date.now()), HOLD_MS / 2);
  timer.unref();

  const show = (step: PlainStep): void => {
    if (current !== step) {
      if (current !== undefined && !current.isEnded) stream.write(`#${current.number} ...\n`);
      closeFold(Date.now());
      if (!isFirst && ciSystem === undefined) stream.write("\n");
      isFirst = false;
      const title = `#${step.number} ${step.name}`;
      if (ciSystem === undefined) stream.write(`${title}\n`);
      else {
        openId = `slipway_${++sections}`;
        stream.write(openSection(ciSystem, { id: openId, title, time: Date.now() }));
      }
      step.hasHeader = true;
      current = step;
    }
    if (step.held.length > 0)
      stream.write(`${step.held.map((line) => `#${step.number} ${line}`).join("\n")}\n`);
    step.held.length = 0;
    if (!step.isEnded) return;
    current = undefined;
    closeFold(Date.now());
  };

  /** Shows what may be shown now. */
  const giveTurns = (now: number): void => {
    if (current !== undefined) show(current);
    for (const step of [...steps.values()]) {
      if (step === current || (step.held.length === 0 && step.hasHeader)) continue;
      const isOverdue =
        step.held.length > 0 && (now - step.heldSince >= HOLD_MS || step.held.length >= HOLD_LINES);
      if (current === undefined || isOverdue) show(step);
    }
    for (const [id, step] of steps) if (step.isEnded && step.held.length === 0) steps.delete(id);
  };

  const hold = (step: PlainStep, lines: readonly string[], time: number): void => {
    if (step.held.length === 0) step.heldSince = time;
    step.held.push(...lines);
  };

  const emit = (event: BuildEvent): void => {
    switch (event.kind) {
      case "note":
      case "warning": {
        const word = event.kind === "note" ? "Note" : "WARNING";
        const place = event.span === undefined ? "" : ` (${event.span.file}:${event.span.startLine})`;
        stream.write(`${word}: ${event.message}${place}\n`);
        return;
      }
      case "start":
        count++;
        steps.set(event.id, {
          number: count,
          name: event.name,
          startTime: event.time,
          logs: { stdout: makeLogLines(), stderr: makeLogLines() },
          held: [],
          heldSince: event.time,
          bytes: new Map(),
          hasHeader: false,
          isEnded: false,
        });
        if (current === undefined) show(steps.get(event.id)!);
        return;
      case "log": {
        const step = steps.get(event.id);
        if (step === undefined) return;
        hold(step, logLines(step, step.logs[event.stream].add(event.data), event.time), event.time);
        break;
      }
      case "progress": {
        const step = steps.get(event.id);
        if (step === undefined) return;
        holdBytes(step, event);
        break;
      }
      case "end": {
        const step = steps.get(event.id);
        if (step === undefined) return;
        for (const log of [step.logs.stdout, step.logs.stderr]) {
          hold(step, logLines(step, log.end(), event.time), event.time);
        }
        for (const { line, isTold } of step.bytes.values()) if (!isTold) hold(step, [line], event.time);
        hold(step, [outcomeLine(step, event)], event.time);
        step.isEnded = true;
      }
    }
    giveTurns(event.time);
  };

  const holdBytes = (step: PlainStep, event: Extract<BuildEvent, { kind: "progress" }>): void => {
    const total = event.totalBytes === undefined ? "" : ` / ${formatSize(event.totalBytes)}`;
    const line = `${event.label} ${formatSize(event.doneBytes)}${total}`;
    const last = step.bytes.get(event.label) ?? { toldTime: step.startTime, line, isTold: false };
    const isDue = event.time - last.toldTime >= BYTES_EVERY_MS;
    if (isDue) hold(step, [line], event.time);
    step.bytes.set(event.label, { line, isTold: isDue, toldTime: isDue ? event.time : last.toldTime });
  };

  return {
    emit,
    close() {
      clearInterval(timer);
      giveTurns(Number.POSITIVE_INFINITY);
      closeFold(Date.now());
      if (!isFirst) stream.write("\n");
    },
  };
}

function logLines(step: PlainStep, lines: readonly string[], time: number): string[] {
  return lines.map((line) => `${seconds(time - step.startTime, 3)} ${cleanLogLine(line)}`);
}

function outcomeLine(step: PlainStep, { outcome, time }: Extract<BuildEvent, { kind: "end" }>): string {
  switch (outcome) {
    case "done":
      return `DONE ${seconds(time - step.startTime, 1)}s`;
    case "cached":
      return "CACHED";
    case "failed":
      return "ERROR";
    case "canceled":
      return "CANCELED";
  }
}

function seconds(milliseconds: number, digits: number): string {
  return (milliseconds / 1000).toFixed(digits);
}
