import type { BuildEvent } from "./event.ts";

/** The end of a piece of work that threw: canceled where the build itself was stopped. */
export function failEvent(id: string, error: unknown, signal: AbortSignal): BuildEvent {
  const time = Date.now();
  if (signal.aborted) return { kind: "end", time, id, outcome: "canceled" };
  return {
    kind: "end",
    time,
    id,
    outcome: "failed",
    error: error instanceof Error ? error.message : String(error),
  };
}
