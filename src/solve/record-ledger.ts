import type { LazyLayer } from "../image/image-access.ts";
import type { StepResult } from "./step-record.ts";

/** The records that a build came to, for the caches that are written of it. */
export interface RecordLedger {
  add(result: StepResult): void;
  /** In the order of their ids. */
  results(): readonly Required<StepResult>[];
  /** The record whose layer it is; undefined for what no step of the build made. */
  recordOf(layer: LazyLayer): string | undefined;
}

/** `onAdd` is called for each result that is new, or has files now. */
export function makeRecordLedger(onAdd: (result: StepResult) => void): RecordLedger {
  const results = new Map<string, Required<StepResult>>();
  const ids = new Map<LazyLayer, string>();
  return {
    add({ id, created, layer, keys = [] }) {
      const known = results.get(id);
      ids.set(layer, id);
      if (known === undefined || (known.layer.mustBeMade && !layer.mustBeMade)) onAdd({ id, created, layer });
      results.set(id, { id, created, layer, keys: [...new Set([...(known?.keys ?? []), ...keys])] });
    },
    results: () => [...results.values()].sort((one, other) => (one.id < other.id ? -1 : 1)),
    recordOf: (layer) => ids.get(layer),
  };
}
