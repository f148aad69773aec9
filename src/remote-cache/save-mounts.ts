import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import { findDiffId, findLayerForm, type LayerForm } from "../image/layer-forms.ts";
import type { Digest } from "../oci/digest.ts";
import type { RecordLedger } from "../solve/record-ledger.ts";
import { adoptBlob, temporaryPath } from "../store/blobs.ts";
import type { CacheForm } from "./cache-places.ts";

/** A cache mount as a cache has it: what was written first, and each change since. */
export interface SavedMount {
  readonly name: string;
  /** Bottom first. */
  readonly parts: readonly { readonly diffId: Digest; readonly form: LayerForm }[];
}

/** After so many changes a mount is saved whole again. */
const PARTS_MAX = 8;

export interface SaveMountsOptions {
  readonly ids: readonly string[];
  readonly ledger: RecordLedger;
  /** As an imported cache has them, by name. */
  readonly saved: ReadonlyMap<string, readonly LazyLayer[]>;
  readonly form: Pick<CacheForm, "compression" | "compressionLevel">;
}

/** Saves those of the cache mounts that the build used whose ids are wanted; what it did not use stays as it was imported. */
export async function saveMounts(
  access: ImageAccess,
  { ids, ledger, saved, form }: SaveMountsOptions,
): Promise<SavedMount[]> {
  const used = ledger.mounts().filter(({ id }) => ids.includes(id));
  const names = new Set(used.map(({ name }) => name));
  const unused = [...saved].filter(([name]) => !names.has(name));
  return Promise.all([
    ...unused.map(([name, layers]) => carryOver(access, name, layers)),
    ...used.map((mount) => saveMount(access, { ...mount, form, before: saved.get(mount.name) ?? [] })),
  ]);
}

async function carryOver(
  access: ImageAccess,
  name: string,
  layers: readonly LazyLayer[],
): Promise<SavedMount> {
  const parts = layers.map(async (layer) => ({
    diffId: await findDiffId(access, layer),
    form: await findLayerForm(access, layer, { compression: "gzip" }),
  }));
  return { name, parts: await Promise.all(parts) };
}

async function saveMount(
  access: ImageAccess,
  mount: {
    readonly name: string;
    readonly directory: string;
    readonly form: Pick<CacheForm, "compression" | "compressionLevel">;
    readonly before: readonly LazyLayer[];
  },
): Promise<SavedMount> {
  const { store, work, signal } = access;
  const { name, directory, form } = mount;
  const before = mount.before.length < PARTS_MAX ? mount.before : [];
  const { compression = "gzip", compressionLevel: level } = form;
  const [indexPath, blobPath] = [temporaryPath(store), temporaryPath(store)];
  try {
    const base = await Promise.all(before.map((layer) => layer.load()));
    const { layer, changeCount } = await work.indexChanges(
      { directory, indexPath, id: randomUUID(), base },
      { signal },
    );
    const kept = await carryOver(access, name, before);
    if (changeCount === 0) return kept;
    const packed = await work.packLayer(
      { layer, compression, blobPath, ...(level !== undefined && { level }) },
      { signal },
    );
    await adoptBlob(store, blobPath, packed.digest);
    return { name, parts: [...kept.parts, { diffId: packed.diffId, form: { ...packed, compression } }] };
  } finally {
    await Promise.all([indexPath, blobPath].map((path) => rm(path, { force: true })));
  }
}
