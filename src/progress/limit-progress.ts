import type { BuildEvent, EventSink } from "./event.ts";

type ProgressEvent = Extract<BuildEvent, { kind: "progress" }>;

const INTERVAL_MS = 100;

/**
 * Hands on what a reader can follow: of the bytes of a piece of work ten events a second at most, and the last one before its end. A download
 * tells of each piece that it gets, thousands a second.
 */
export function limitProgress(emit: EventSink): EventSink {
  /** What was told last, and what is held back since; by the work's id, then by label. */
  const works = new Map<string, Map<string, { toldTime: number; held?: ProgressEvent }>>();
  return (event) => {
    if (event.kind === "progress") {
      const labels = works.get(event.id) ?? new Map();
      works.set(event.id, labels);
      const last = labels.get(event.label);
      if (last !== undefined && event.time - last.toldTime < INTERVAL_MS) {
        last.held = event;
        return;
      }
      labels.set(event.label, { toldTime: event.time });
    } else if (event.kind === "end") {
      for (const { held } of works.get(event.id)?.values() ?? []) if (held !== undefined) emit(held);
      works.delete(event.id);
    }
    emit(event);
  };
}
