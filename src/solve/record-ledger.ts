import type { LazyLayer } from "../image/image-access.ts";
import type { StepResult } from "./step-record.ts";

/** A cache mount that a RUN of the build had. */
export interface UsedMount {
  readonly id: string;
  /** Its directory's, made of the id and of what else tells mounts apart. */
  readonly name: string;
  readonly directory: string;
}

/** The records that a build came to, for the caches that are written of it. */
export interface RecordLedger {
  add(result: StepResult): void;
  /** In the order of their ids. */
  results(): readonly Required<StepResult>[];
  addMount(mount: UsedMount): void;
  mounts(): readonly UsedMount[];
  /** The record whose layer it is; undefined for what no step of the build made. */
  recordOf(layer: LazyLayer): string | undefined;
}

/** `onAdd` is called for each result that is new, or has files now. */
export function makeRecordLedger(onAdd: (result: StepResult) => void): RecordLedger {
  const results = new Map<string, Required<StepResult>>();
  const mounts = new Map<string, UsedMount>();
  const ids = new Map<LazyLayer, string>();
  return {
    add({ id, created, layer, keys = [] }) {
      const known = results.get(id);
      ids.set(layer, id);
      if (known === undefined || (known.layer.mustBeMade && !layer.mustBeMade)) onAdd({ id, created, layer });
      results.set(id, { id, created, layer, keys: [...new Set([...(known?.keys ?? []), ...keys])] });
    },
    results: () => [...results.values()].sort((one, other) => (one.id < other.id ? -1 : 1)),
    addMount: (mount) => void mounts.set(mount.name, mount),
    mounts: () => [...mounts.values()],
    recordOf: (layer) => ids.get(layer),
  };
}
