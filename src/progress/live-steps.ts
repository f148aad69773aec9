import { cleanText } from "./clean-text.ts";
import type { BuildEvent } from "./event.ts";
import { type LogLines, makeLogLines } from "./log-lines.ts";

/** How many lines of a step's output are kept for the view. */
const KEPT_LINES = 12;

/** A piece of work as the live view shows it. */
export interface LiveStep {
  readonly name: string;
  readonly startTime: number;
  readonly logs: { readonly stdout: LogLines; readonly stderr: LogLines };
  /** The end of its output, without escape sequences. */
  readonly lines: string[];
  /** By label. */
  readonly bytes: Map<string, { readonly done: number; readonly total?: number }>;
}

export interface EndedStep {
  readonly name: string;
  readonly outcome: Extract<BuildEvent, { kind: "end" }>["outcome"];
  readonly durationMs: number;
  readonly bytes: number;
}

/** Keeps what runs now, from the events; `end` events give back what ended. */
export interface LiveSteps {
  readonly running: ReadonlyMap<string, LiveStep>;
  readonly counts: { readonly started: number; readonly ended: number; readonly cached: number };
  take(event: BuildEvent): EndedStep | undefined;
}

export function makeLiveSteps(): LiveSteps {
  const running = new Map<string, LiveStep>();
  const counts = { started: 0, ended: 0, cached: 0 };
  return {
    running,
    counts,
    take(event) {
      if (event.kind === "start") {
        counts.started++;
        running.set(event.id, {
          name: cleanText(event.name),
          startTime: event.time,
          logs: { stdout: makeLogLines(), stderr: makeLogLines() },
          lines: [],
          bytes: new Map(),
        });
      }
      const step = "id" in event ? running.get(event.id) : undefined;
      if (step === undefined) return undefined;
      if (event.kind === "log") {
        step.lines.push(...step.logs[event.stream].add(event.data).map(cleanText));
        step.lines.splice(0, step.lines.length - KEPT_LINES);
      }
      if (event.kind === "progress") {
        step.bytes.set(event.label, { done: event.doneBytes, total: event.totalBytes });
      }
      if (event.kind !== "end") return undefined;
      running.delete(event.id);
      counts.ended++;
      if (event.outcome === "cached") counts.cached++;
      return {
        name: step.name,
        outcome: event.outcome,
        durationMs: event.time - step.startTime,
        bytes: sum(step).done,
      };
    },
  };
}

/** Of all labels; the total is unknown when one of them is. */
export function sum(step: Pick<LiveStep, "bytes">): { readonly done: number; readonly total?: number } {
  let done = 0;
  let total: number | undefined = 0;
  for (const part of step.bytes.values()) {
    done += part.done;
    total = total === undefined || part.total === undefined ? undefined : total + part.total;
  }
  return { done, total };
}
