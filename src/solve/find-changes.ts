import { diffFiles } from "../cache/diff-files.ts";
import { countDifferences, explainMiss, type KeyChange } from "../cache/explain-miss.ts";
import type { StepKey } from "../cache/step-key.ts";
import type { Step } from "../plan/plan.ts";
import { findEarlierSteps, readFileList, type StoredBuildStep } from "../store/builds.ts";
import type { Store } from "../store/open-store.ts";

/** What became of a step, as its solver tells it. */
export interface TracedStep {
  readonly step: Step;
  readonly key: StepKey;
  readonly outcome: StoredBuildStep["outcome"];
  readonly recordId?: string;
}

export interface CompareContext {
  /** Of `nameProject`. */
  readonly project: string;
  /** The steps of this build: what stands below has its name from them. */
  readonly traced: readonly TracedStep[];
  readonly cacheTtlMs: number | undefined;
}

export const TOLD_NOT_TO = "the build was told not to use the cache";

/** What is not as it was when the most similar step of an earlier build ran, which this one could therefore not use. */
export function findChanges(
  store: Store,
  { step, key }: TracedStep,
  { project, traced, cacheTtlMs }: CompareContext,
): KeyChange[] {
  if (step.ignoreCache) return [{ part: "none", message: TOLD_NOT_TO }];
  const here = { stage: step.stage, name: plainName(step), number: step.id };
  const [nearest] = findEarlierSteps(store, here, project)
    .map((earlier) => ({ earlier, distance: countDifferences(earlier.parts, key.parts) }))
    .filter(({ distance }) => Number.isFinite(distance))
    .sort((one, other) => one.distance - other.distance);
  if (nearest === undefined) return [{ part: "none", message: "it was never built before" }];
  const { earlier } = nearest;
  if (earlier.key === key.key) {
    const why = cacheTtlMs === undefined ? "no longer in the store" : "too old, or no longer in the store";
    return [{ part: "none", message: `nothing changed, but its result is ${why}` }];
  }
  return explainMiss(earlier.parts, key.parts, {
    nameOf(recordId) {
      const found = traced.find((one) => one.recordId === recordId);
      return found && plainName(found.step);
    },
    filesBetween(before, after) {
      const [one, other] = [readFileList(store, before), readFileList(store, after)];
      return one && other && diffFiles(one, other);
    },
  });
}

/** `[builder 2/4] RUN make` without what is in brackets. */
export function plainName({ name }: Step): string {
  return name.replace(/^\[[^\]]*\] /, "");
}
