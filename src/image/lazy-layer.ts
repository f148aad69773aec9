import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { BuildError } from "../errors/build-error.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { compressionOf } from "../oci/media-type.ts";
import { failEvent } from "../progress/fail-event.ts";
import type { Layer } from "../rootfs/layer.ts";
import {
  findLayerIndex,
  openStoredLayer,
  storeWrittenIndex,
  storeWrittenLayer,
} from "../rootfs/stored-layer.ts";
import { adoptBlob, hasBlob, temporaryPath } from "../store/blobs.ts";
import { findLayer, findLayerByDiffId, recordLayerBlob } from "../store/layers.ts";
import { acquireLock } from "../store/locks.ts";
import type { Store } from "../store/open-store.ts";
import type { ImageAccess, LazyLayer } from "./image-access.ts";

/** Where an image's blobs come from when the store lacks them. */
export interface BlobOrigin {
  /** Streams a blob, which is not verified yet. */
  openBlob(
    descriptor: Descriptor,
    options: { readonly signal: AbortSignal; readonly onProgress: (doneBytes: number) => void },
  ): AsyncIterable<Uint8Array>;
  /** As progress names it. */
  readonly name: string;
}

export interface LazyLayerSource {
  readonly diffId: Digest;
  /** The compressed form in the image's manifest; absent for images that were built here and never exported. */
  readonly descriptor?: Descriptor;
  readonly origin?: BlobOrigin;
}

/** A layer of an image: from the store where it is there, else from its blob, else from where the image came from. */
export function makeLazyLayer(access: ImageAccess, source: LazyLayerSource): LazyLayer {
  const { descriptor } = source;
  const canFetch =
    descriptor !== undefined && (source.origin !== undefined || hasBlob(access.store, descriptor.digest));
  return {
    diffId: source.diffId,
    ...(descriptor && { blob: descriptor }),
    ...(canFetch && { fetchBlob: () => fetchBlob(access, source) }),
    findIndex: () => findLayerIndex(access.store, source.diffId),
    loadIndex: () =>
      access.layersUnderWay.get(source.diffId) ??
      takeIn(access, source, {
        find: () => findLayerIndex(access.store, source.diffId),
        keepsTar: false,
      }),
    load() {
      const underWay = access.layersUnderWay.get(source.diffId);
      if (underWay !== undefined) return underWay;
      const loading = takeIn(access, source, {
        find: () => findStoredLayer(access.store, source.diffId),
        keepsTar: true,
      }).finally(() => access.layersUnderWay.delete(source.diffId));
      access.layersUnderWay.set(source.diffId, loading);
      return loading;
    },
  };
}

/** The layer that a step made, which the store has. `created`: when, in milliseconds since 1970. */
export function openStepLayer(
  store: Store,
  { layerId, created }: { readonly layerId: string; readonly created: number },
): LazyLayer {
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

function findStoredLayer(store: Store, diffId: Digest): Layer | undefined {
  const stored = findLayerByDiffId(store, diffId);
  return stored && openStoredLayer(store, stored);
}

/** The layer, or where `keepsTar` is false its index: `find` says whether it is here. The blob is kept in any case. */
async function takeIn(
  access: ImageAccess,
  { diffId, descriptor, origin }: LazyLayerSource,
  { find, keepsTar }: { readonly find: () => Layer | undefined; readonly keepsTar: boolean },
): Promise<Layer> {
  const { store, work, signal } = access;
  const found = find();
  if (found !== undefined) return found;
  if (descriptor === undefined) throw new Error(`the store has neither the layer ${diffId} nor its blob`);
  using _lock = await acquireLock(store, `layer ${diffId}`, signal);
  const made = find();
  if (made !== undefined) return made;
  const isHere = hasBlob(store, descriptor.digest);
  if (!isHere && origin === undefined) throw new Error(`nobody knows where the blob ${descriptor.digest} is`);

  const blobPath = isHere ? undefined : temporaryPath(store);
  const from = isHere ? undefined : origin?.name;
  const storeWritten = keepsTar ? storeWrittenLayer : storeWrittenIndex;
  const ingest = (bytes: AsyncIterable<Uint8Array> | string) =>
    storeWritten(store, (layersDirectory) =>
      work.ingestLayer(
        { ...descriptor, layersDirectory, diffId, blobPath, from, bytes, keepsTar },
        { signal },
      ),
    );
  const { layer, written } = isHere
    ? await ingest(store.blobPath(descriptor.digest))
    : await withProgress(access, { descriptor, name: origin!.name }, (onProgress) =>
        ingest(origin!.openBlob(descriptor, { signal, onProgress })),
      );
  if (blobPath !== undefined) await adoptBlob(store, blobPath, descriptor.digest);
  recordLayerBlob(store, {
    digest: descriptor.digest,
    diffId: written.diffId,
    size: descriptor.size,
    compression: compressionOf(descriptor.mediaType),
    encoder: "foreign",
    tarSizeBytes: written.tarSizeBytes,
  });
  return layer;
}

/** For a blob that is wanted itself: one whose layer is there already is not unpacked again. */
async function fetchBlob(access: ImageAccess, source: LazyLayerSource): Promise<void> {
  const { store, signal } = access;
  const descriptor = source.descriptor!;
  if (hasBlob(store, descriptor.digest)) return;
  await makeLazyLayer(access, source).load();
  if (hasBlob(store, descriptor.digest)) return;
  const path = temporaryPath(store);
  const hash = createHash("sha256");
  try {
    await withProgress(access, { descriptor, name: source.origin!.name }, (onProgress) =>
      pipeline(
        source.origin!.openBlob(descriptor, { signal, onProgress }),
        async function* (chunks: AsyncIterable<Uint8Array>) {
          for await (const chunk of chunks) {
            hash.update(chunk);
            yield chunk;
          }
        },
        createWriteStream(path, { flags: "wx", mode: 0o600 }),
        { signal },
      ),
    );
    const digest = `sha256:${hash.digest("hex")}`;
    if (digest !== descriptor.digest) {
      throw new BuildError(
        "verification",
        `Cannot use the blob "${descriptor.digest}" of "${source.origin!.name}": its bytes have the digest ${digest}`,
      );
    }
    await adoptBlob(store, path, descriptor.digest);
    // What it unpacks to was verified when its layer came.
  } finally {
    await rm(path, { force: true });
  }
}

async function withProgress<T>(
  { emit, signal }: ImageAccess,
  { descriptor, name }: { readonly descriptor: Descriptor; readonly name: string },
  transfer: (onProgress: (doneBytes: number) => void) => Promise<T>,
): Promise<T> {
  const id = `pull ${descriptor.digest}`;
  const label = descriptor.digest.slice(0, 19);
  emit({ kind: "start", time: Date.now(), id, name: `pull ${name} ${label}` });
  try {
    const result = await transfer((doneBytes) =>
      emit({ kind: "progress", time: Date.now(), id, label, doneBytes, totalBytes: descriptor.size }),
    );
    emit({ kind: "end", time: Date.now(), id, outcome: "done" });
    return result;
  } catch (error) {
    emit(failEvent(id, error, signal));
    throw error;
  }
}
