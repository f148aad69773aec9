import type { StepKey } from "../cache/step-key.ts";
import type { Step } from "../plan/plan.ts";
import { acquireLock } from "../store/locks.ts";
import { readLog } from "../store/logs.ts";
import type { StepRecord } from "../store/records.ts";
import type { StepReport } from "./report-step.ts";
import type { SolveContext } from "./solve-plan.ts";
import { aliasRecord, reuseRecord } from "./step-record.ts";

/** A step whose result is not there. */
export interface MissingStep {
  readonly step: Step;
  /** What the result will be found by; the last one decides who does the work. */
  readonly keys: readonly StepKey[];
  readonly report: StepReport;
  /** Of a COPY: the digest of its files. */
  readonly content?: string;
}

/**
 * Does a step's work, unless another build does the same just now: then waits for that one's result and tells what it printed. When
 * the other fails or dies, this one does the work after all.
 */
export async function runOnce(
  { step, keys, report, content }: MissingStep,
  context: SolveContext,
  work: () => Promise<StepRecord>,
): Promise<StepRecord> {
  const { store, signal } = context.access;
  const key = keys.at(-1)!;
  const runAndTell = async (): Promise<StepRecord> => {
    context.trace.add({ step, key, outcome: "failed", content });
    const record = await work();
    context.trace.add({ step, key, outcome: "miss", recordId: record.id, content });
    return record;
  };
  // Whoever wants no result from the cache wants none of another build either.
  if (step.ignoreCache) return runAndTell();
  using _lock = await acquireLock(store, `step ${key.key}`, signal);
  const found = reuseRecord(step, key, context);
  if (found === undefined) return await runAndTell();
  for (const earlier of keys.slice(0, -1)) aliasRecord(store, found, earlier);
  for (const { stream, data } of readLog(store, found.id)) report.log(stream, data);
  report.cached();
  context.trace.add({ step, key, outcome: "shared", recordId: found.id, content });
  return found;
}
