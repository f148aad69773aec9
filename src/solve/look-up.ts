import type { StepKey } from "../cache/step-key.ts";
import type { Step } from "../plan/plan.ts";
import type { StepRecord } from "../store/records.ts";
import type { StepReport } from "./report-step.ts";
import type { KeyContext, SolveContext } from "./solve-plan.ts";
import type { SolvedRootfs } from "./solved.ts";
import { aliasRecord, reuseRecord } from "./step-record.ts";

/** A step whose inputs are solved. */
export interface KeyedStep {
  /** What it adds its layer to. */
  readonly base: SolvedRootfs;
  /** What it may be found by, one at least; each is made only when the ones before led nowhere. */
  keys(): AsyncIterable<StepKey> | Iterable<StepKey>;
}

/** What the cache has for a step. */
export interface LookedUp {
  /** Those that were tried: the last one led to the record, or decides who does the work when there is none. */
  readonly keys: readonly StepKey[];
  readonly record?: StepRecord;
}

export async function lookUp(
  step: Step,
  keys: ReturnType<KeyedStep["keys"]>,
  context: KeyContext,
): Promise<LookedUp> {
  const tried: StepKey[] = [];
  for await (const key of keys) {
    tried.push(key);
    const record = reuseRecord(step, key, context);
    if (record !== undefined) return { keys: tried, record };
  }
  return { keys: tried };
}

/** Uses what was found: from now on the keys that did not lead to it do. */
export function takeHit(
  { keys, record }: LookedUp,
  { step, report }: { readonly step: Step; readonly report: StepReport },
  { access, trace }: SolveContext,
): StepRecord {
  for (const earlier of keys.slice(0, -1)) aliasRecord(access.store, record!, earlier);
  report.cached();
  trace.add({ step, key: keys.at(-1)!, outcome: "hit", recordId: record!.id });
  return record!;
}
