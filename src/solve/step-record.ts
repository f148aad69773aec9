import { joinRecordIds, type StepKey } from "../cache/step-key.ts";
import type { LazyLayer } from "../image/image-access.ts";
import type { Step } from "../plan/plan.ts";
import type { Layer } from "../rootfs/layer.ts";
import { openStoredLayer } from "../rootfs/stored-layer.ts";
import { findLayer } from "../store/layers.ts";
import type { Store } from "../store/open-store.ts";
import { addKey, findRecord, type StepRecord, writeRecord } from "../store/records.ts";
import type { KeyContext } from "./solve-plan.ts";
import type { SolvedRootfs } from "./solved.ts";

/** A step's result from the cache; undefined when there is none, or none is wanted. */
export function reuseRecord(step: Step, { key }: StepKey, context: KeyContext): StepRecord | undefined {
  if (step.ignoreCache) return undefined;
  const found = findRecord(context.access.store, key);
  const { cacheTtlMs = Number.POSITIVE_INFINITY } = context;
  return found !== undefined && Date.now() - found.created >= cacheTtlMs ? undefined : found;
}

/**
 * Keeps a fresh layer under its keys. What is written from known bytes (COPY, WORKDIR) has a record named by its last key; a
 * RUN's is named by its layer, at random: a command that runs again may do something else.
 */
export function keepRecord(store: Store, layer: Layer, keys: readonly StepKey[]): StepRecord {
  const record = {
    id: layer.content.kind === "tar" ? keys.at(-1)!.key : layer.id,
    layerId: layer.id,
    created: Date.now(),
  };
  writeRecord(store, record, keys);
  return record;
}

/** A record that was found by one key is found by another from now on. */
export function aliasRecord(store: Store, record: StepRecord, { key, parts }: StepKey): void {
  addKey(store, record, key, parts);
}

/** The base with the layer of a step's record on top. */
export function addLayer(
  base: SolvedRootfs,
  { step, record }: { readonly step: Step; readonly record: StepRecord },
  { access: { store } }: KeyContext,
): SolvedRootfs {
  const layers = [...base.layers, layerOfRecord(store, record)];
  return { kind: "rootfs", recordId: nameRootfs(step, base, record.id), layers };
}

export function layerOfRecord(store: Store, { layerId, created }: StepRecord): LazyLayer {
  const stored = findLayer(store, layerId);
  if (stored === undefined) throw new Error(`the layer ${layerId} is gone from the store`);
  return {
    layerId,
    created,
    ...(stored.diffId && { diffId: stored.diffId }),
    load: async () => openStoredLayer(store, stored),
    findIndex: () => openStoredLayer(store, stored),
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
