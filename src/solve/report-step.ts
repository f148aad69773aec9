import type { Step } from "../plan/plan.ts";
import type { SolveContext } from "./solve-plan.ts";

/** What a step says of itself while it is worked on. */
export interface StepReport {
  log(stream: "stdout" | "stderr", data: Uint8Array): void;
  /** The result came from the cache. */
  cached(): void;
  /** How far a transfer is. */
  progress(doneBytes: number, totalBytes?: number): void;
}

/** Tells that a step begins, and how it ends. */
export async function reportStep<T>(
  step: Step,
  { access: { emit, signal } }: SolveContext,
  work: (report: StepReport) => Promise<T>,
): Promise<T> {
  const id = `step ${step.id}`;
  let outcome: "done" | "cached" | "failed" | "canceled" = "done";
  emit({ kind: "start", time: Date.now(), id, name: step.name, stage: step.stage });
  try {
    return await work({
      log: (stream, data) => emit({ kind: "log", time: Date.now(), id, stream, data }),
      cached() {
        outcome = "cached";
      },
      progress: (doneBytes, totalBytes) =>
        emit({ kind: "progress", time: Date.now(), id, label: "downloaded", doneBytes, totalBytes }),
    });
  } catch (error) {
    outcome = signal.aborted ? "canceled" : "failed";
    throw error;
  } finally {
    emit({ kind: "end", time: Date.now(), id, outcome });
  }
}
