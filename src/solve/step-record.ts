import { joinRecordIds, type StepKey } from "../cache/step-key.ts";
import type { LazyLayer } from "../image/image-access.ts";
import { openStepLayer } from "../image/lazy-layer.ts";
import type { Step } from "../plan/plan.ts";
import type { Layer } from "../rootfs/layer.ts";
import type { Store } from "../store/open-store.ts";
import {
  addKey,
  type BareRecord,
  findBareRecord,
  findRecord,
  type StepRecord,
  writeRecord,
} from "../store/records.ts";
import type { KeyContext } from "./solve-plan.ts";
import type { SolvedRootfs } from "./solved.ts";

/** A record of an imported cache. */
export interface ImportedRecord {
  readonly id: string;
  /** When the step ran, in milliseconds since 1970. */
  readonly created: number;
  /** Absent where the cache has the record without its files: the step runs when somebody wants them. */
  readonly layer?: LazyLayer;
  /** All that lead to it. */
  readonly keys: readonly string[];
}

/** The caches that a build looks into besides its store. */
export interface ImportedRecords {
  find(key: string): ImportedRecord | undefined;
  /** Cache mounts that were saved, by the names of their directories: layers, bottom first. */
  readonly mounts: ReadonlyMap<string, readonly LazyLayer[]>;
}

/** A step's result from the store; undefined when there is none, or none is wanted. */
export function reuseRecord(step: Step, { key }: StepKey, context: KeyContext): StepRecord | undefined {
  return wanted(step, findRecord(context.access.store, key), context);
}

/** A step's result from the imported caches; undefined when there is none, or none is wanted. */
export function reuseImported(step: Step, { key }: StepKey, context: KeyContext): ImportedRecord | undefined {
  return wanted(step, context.imports?.find(key), context);
}

/**
 * A step's result whose layer was removed, where the layer may not be needed: not for a step that an output stands on, nor when a cache
 * of the build is written.
 */
export function reuseBare(step: Step, { key }: StepKey, context: KeyContext): BareRecord | undefined {
  if (context.ofOutputs.has(step.id) || context.ledger !== undefined) return undefined;
  return wanted(step, findBareRecord(context.access.store, key), context);
}

function wanted<Found extends { readonly created: number }>(
  { ignoreCache }: Step,
  found: Found | undefined,
  { cacheTtlMs = Number.POSITIVE_INFINITY }: KeyContext,
): Found | undefined {
  if (ignoreCache || found === undefined) return undefined;
  return Date.now() - found.created >= cacheTtlMs ? undefined : found;
}

/**
 * Keeps a fresh layer under its keys. What is written from known bytes (COPY, WORKDIR) has a record named by its last key; a
 * RUN's is named by its layer, at random: a command that runs again may do something else. `recordId` is the name that it has
 * already, in the keys of the steps after it, when it was made elsewhere before.
 */
export function keepRecord(
  store: Store,
  layer: Layer,
  { keys, recordId }: { readonly keys: readonly StepKey[]; readonly recordId?: string },
): StepRecord {
  const record = {
    id: recordId ?? (layer.content.kind === "tar" ? keys.at(-1)!.key : layer.id),
    layerId: layer.id,
    created: Date.now(),
  };
  writeRecord(store, record, keys);
  return record;
}

/** A record that was found by one key is found by another from now on. */
export function aliasRecord(store: Store, record: BareRecord, { key, parts }: StepKey): void {
  addKey(store, record, key, parts);
}

/** A step's result, wherever it was found. */
export interface StepResult {
  /** Of its record: enters the keys of the steps after it. */
  readonly id: string;
  /** When the step ran, in milliseconds since 1970. */
  readonly created: number;
  readonly layer: LazyLayer;
  /** Those that lead to it, besides what the store knows. */
  readonly keys?: readonly string[];
}

export function resultOf({ id, layerId, created }: StepRecord, { access }: KeyContext): StepResult {
  return { id, created, layer: openStepLayer(access.store, { layerId, created }) };
}

/** The base with the layer of a step's result on top. */
export function addResult(
  base: SolvedRootfs,
  { step, result }: { readonly step: Step; readonly result: StepResult },
  { ledger }: KeyContext,
): SolvedRootfs {
  const layer = { ...result.layer, stage: step.stage };
  // The same object: by it the layers of outputs are known again.
  ledger?.add({ ...result, layer });
  return {
    kind: "rootfs",
    recordId: nameRootfs(step, base, result.id),
    layers: [...base.layers, layer],
  };
}

/** A record's id says what lies below, too: it has it from its key. That of a `--link` says nothing of it, so both are named. */
export function nameRootfs(step: Step, base: SolvedRootfs, recordId: string): string {
  const isLink = step.kind === "copy" && step.link;
  return isLink ? joinRecordIds(base.recordId, recordId) : recordId;
}

export function loadLayers({ layers }: SolvedRootfs): Promise<Layer[]> {
  return Promise.all(layers.map((layer) => layer.load()));
}
