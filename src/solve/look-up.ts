import type { StepKey } from "../cache/step-key.ts";
import type { Step } from "../plan/plan.ts";
import type { BareRecord, StepRecord } from "../store/records.ts";
import type { KeyContext } from "./solve-plan.ts";
import type { SolvedRootfs } from "./solved.ts";
import { type ImportedRecord, reuseBare, reuseImported, reuseRecord } from "./step-record.ts";

/** A step whose inputs are solved. */
export interface KeyedStep {
  /** What it adds its layer to. */
  readonly base: SolvedRootfs;
  /** What it may be found by, one at least; each is made only when the ones before led nowhere. */
  keys(): AsyncIterable<StepKey> | Iterable<StepKey>;
}

/** What the caches have for a step: one of the three, or nothing. */
export interface LookedUp {
  /** Those that were tried: the last one led to the record, or decides who does the work when there is none. */
  readonly keys: readonly StepKey[];
  readonly record?: StepRecord;
  /** Of an imported cache. */
  readonly imported?: ImportedRecord;
  /** Of the store, which has removed its layer: the step runs when somebody wants its files. */
  readonly bare?: BareRecord;
}

/** Looks a step up in the store and in the imported caches, by each of its keys. */
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
    const imported = reuseImported(step, key, context);
    if (imported !== undefined) return { keys: tried, imported };
    const bare = reuseBare(step, key, context);
    if (bare !== undefined) return { keys: tried, bare };
  }
  return { keys: tried };
}
