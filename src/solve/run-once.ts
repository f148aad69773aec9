import type { StepKey } from "../cache/step-key.ts";
import type { Step } from "../plan/plan.ts";
import { type LiveLogReader, openLiveLogReader } from "../store/live-log.ts";
import { acquireLock, findLockOwner } from "../store/locks.ts";
import { readLog } from "../store/logs.ts";
import type { Store } from "../store/open-store.ts";
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
  /** The id of its record, when it is made a second time: what was found of it had no files. */
  readonly recordId?: string;
}

/**
 * Does a step's work, unless another build does the same just now: then waits for that one's result and tells what it prints. When
 * the other fails or dies, this one does the work after all.
 */
export async function runOnce(
  { step, keys, report }: MissingStep,
  context: SolveContext,
  work: () => Promise<StepRecord>,
): Promise<StepRecord> {
  const { store, signal } = context.access;
  const key = keys.at(-1)!;
  const runAndTell = async (): Promise<StepRecord> => {
    context.trace.begin({ step, key });
    const record = await work();
    context.trace.add({ step, key, outcome: "miss", recordId: record.id });
    return record;
  };
  // Whoever wants no result from the cache wants none of another build either.
  if (step.ignoreCache) return runAndTell();
  const lockName = `step ${key.key}`;
  using other = followRunner(store, { lockName, key: key.key, report });
  using _lock = await acquireLock(store, lockName, signal, other.tell);
  other.tell();
  const found = reuseRecord(step, key, context);
  if (found === undefined) {
    if (other.hasTold()) report.note("the build that ran this step has no result, so it runs here");
    return await runAndTell();
  }
  for (const earlier of keys.slice(0, -1)) aliasRecord(store, found, earlier);
  if (!other.hasToldAll()) for (const { stream, data } of readLog(store, found.id)) report.log(stream, data);
  report.cached();
  context.trace.add({ step, key, outcome: "shared", recordId: found.id });
  return found;
}

/** Tells what the build prints that runs a step, whichever one it is, while it runs it. */
function followRunner(
  store: Store,
  { lockName, key, report }: { readonly lockName: string; readonly key: string; readonly report: StepReport },
) {
  let owner: string | undefined;
  let reader: LiveLogReader | undefined;
  let hasTold = false;
  return {
    tell(): void {
      const now = findLockOwner(store, lockName);
      // This build itself has it when it need not wait any more; the log of the one before may have an end to read.
      if (now !== undefined && now !== store.lease.id && now !== owner) {
        reader?.[Symbol.dispose]();
        reader = undefined;
        owner = now;
      }
      if (owner !== undefined) reader ??= openLiveLogReader(store, { leaseId: owner, key });
      for (const { stream, data } of reader?.read() ?? []) {
        hasTold = true;
        report.log(stream, data);
      }
    },
    hasTold: () => hasTold,
    hasToldAll: () => reader?.hasEnded() === true,
    [Symbol.dispose]: () => reader?.[Symbol.dispose](),
  };
}
