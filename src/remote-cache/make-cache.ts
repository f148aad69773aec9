import {
  type AssembleOptions,
  layerMediaType,
  missingBlobs,
  type WrittenManifest,
} from "../image/assemble-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { findDiffId, findLayerForm } from "../image/layer-forms.ts";
import type { Digest } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import type { RecordLedger } from "../solve/record-ledger.ts";
import type { SolvedRootfs } from "../solve/solved.ts";
import type { ImportedRecords, StepResult } from "../solve/step-record.ts";
import { writeBlob } from "../store/blobs.ts";
import { findKeys } from "../store/records.ts";
import {
  CACHE_MEDIA_TYPE,
  type CacheDocument,
  type CachedRecord,
  INLINE_CACHE_KEY,
} from "./cache-document.ts";
import type { CacheForm } from "./cache-places.ts";
import { saveMounts } from "./save-mounts.ts";

/** What a build came to. */
export interface BuildRecords {
  readonly ledger: RecordLedger;
  readonly outputs: readonly Pick<SolvedRootfs, "layers">[];
  /** The caches that the build looked into. */
  readonly imports?: ImportedRecords;
}

/** How many keys of a record travel: a store that has seen many builds has led many of them to it. */
const KEYS_MAX = 8;

/** Writes the documents of a cache as blobs of the store, and compresses the layers that it has. */
export async function makeCache(
  access: ImageAccess,
  { ledger, outputs, imports }: BuildRecords,
  form: CacheForm,
): Promise<WrittenManifest> {
  const {
    mode,
    compression = "gzip",
    compressionLevel: level,
    ociMediaTypes = true,
    mounts: ids = [],
  } = form;
  const ofOutputs = new Set(outputs.flatMap(({ layers }) => layers.map((layer) => ledger.recordOf(layer))));
  const hasLayer = ({ id, layer }: StepResult) => !layer.mustBeMade && (mode === "max" || ofOutputs.has(id));
  const results = ledger.results();
  const kept = await Promise.all(
    results.filter(hasLayer).map(async ({ id, layer }) => {
      const form = await findLayerForm(access, layer, { compression, level });
      return { id, form, diffId: await findDiffId(access, layer) };
    }),
  );
  const diffIds = new Map(kept.map(({ id, diffId }) => [id, diffId]));
  const layers = new Map(kept.map(({ diffId, form }) => [form.digest, { form, diffId }]));
  const saved = imports?.mounts ?? new Map();
  const mounts = ids.length === 0 ? [] : await saveMounts(access, { ids, ledger, saved, form });
  for (const { form: part, diffId } of mounts.flatMap(({ parts }) => parts))
    layers.set(part.digest, { form: part, diffId });
  const document: CacheDocument = {
    records: results.map((result) => makeRecord(access, result, diffIds.get(result.id))),
    layers: [...layers].map(([digest, { diffId }]) => ({
      diffId,
      digest,
      ...(level !== undefined && { level }),
    })),
    ...(mounts.length > 0 && {
      mounts: mounts.map(({ name, parts }) => ({ name, layers: parts.map(({ diffId }) => diffId) })),
    }),
  };
  const config = Buffer.from(JSON.stringify(document));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: ociMediaTypes ? MEDIA_TYPE.ociManifest : MEDIA_TYPE.dockerManifest,
    config: {
      mediaType: CACHE_MEDIA_TYPE,
      digest: await writeBlob(access.store, config),
      size: config.length,
    },
    layers: [...layers.values()].map(({ form: { digest, size, compression: own } }) => ({
      mediaType: layerMediaType(own, !ociMediaTypes),
      digest,
      size,
    })),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const digest = await writeBlob(access.store, bytes);
  return {
    descriptor: { mediaType: manifest.mediaType!, digest, size: bytes.length },
    manifest,
    missing: missingBlobs([...layers.values()].map(({ form }) => form)),
  };
}

/** The records of a build for the config of an image: those that its layers are of have one. */
export function makeInlineCache(
  access: ImageAccess,
  ledger: RecordLedger,
): NonNullable<AssembleOptions["addKeys"]> {
  return (layers, diffIds) => {
    const found = new Map(layers.map((layer, position) => [ledger.recordOf(layer), diffIds[position]]));
    const document: CacheDocument = {
      records: ledger.results().map((result) => makeRecord(access, result, found.get(result.id))),
    };
    return { [INLINE_CACHE_KEY]: document };
  };
}

function makeRecord(
  { store }: ImageAccess,
  { id, created, keys = [] }: StepResult,
  diffId: Digest | undefined,
): CachedRecord {
  const all = new Set([...keys, ...findKeys(store, id, KEYS_MAX)]);
  return { id, created, keys: [...all].sort() as Digest[], ...(diffId && { diffId }) };
}
