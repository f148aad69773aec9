import type { Step } from "../plan/plan.ts";
import type { BuildEvent } from "../progress/event.ts";
import { failEvent } from "../progress/fail-event.ts";
import { settleGrowth } from "../store/growth.ts";
import type { SourceContext } from "./solve-plan.ts";

/** What a step says of itself while it is worked on. */
export interface StepReport {
  log(stream: "stdout" | "stderr", data: Uint8Array): void;
  note(message: string): void;
  /** The result came from the cache. */
  cached(): void;
  /** How far a transfer is; `label` says what is done with the bytes. */
  progress(label: string, progress: { readonly doneBytes: number; readonly totalBytes?: number }): void;
}

/** Tells that a step begins, and how it ends. */
export async function reportStep<T>(
  step: Step,
  { access: { store, emit, signal }, trace }: SourceContext,
  work: (report: StepReport) => Promise<T>,
): Promise<T> {
  const id = `step ${step.id}`;
  let outcome: "done" | "cached" = "done";
  let failure: BuildEvent | undefined;
  const started = Date.now();
  emit({ kind: "start", time: started, id, name: step.name, stage: step.stage });
  try {
    const result = await work({
      log: (stream, data) => emit({ kind: "log", time: Date.now(), id, stream, data }),
      note: (message) => emit({ kind: "note", time: Date.now(), message: `${step.name}: ${message}` }),
      cached() {
        outcome = "cached";
      },
      progress: (label, progress) => emit({ kind: "progress", time: Date.now(), id, label, ...progress }),
    });
    await settleGrowth(store);
    return result;
  } catch (error) {
    failure = failEvent(id, error, signal);
    throw error;
  } finally {
    const ended = Date.now();
    trace.time(step, { started, ended });
    emit(failure ?? { kind: "end", time: ended, id, outcome });
  }
}
