import { createReadStream } from "node:fs";
import { BuildError } from "../errors/build-error.ts";
import { explainWrite } from "../errors/explain-write.ts";
import { copyToLayout } from "../export/copy-layout.ts";
import { pushImage } from "../export/push-image.ts";
import { completeBlobs, type WrittenManifest } from "../image/assemble-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { parseImageReference } from "../oci/reference.ts";
import type { StepResult } from "../solve/step-record.ts";
import { readBlob } from "../store/blobs.ts";
import { type LocalCacheTarget, nameCachePlace, type RegistryCacheTarget } from "./cache-places.ts";
import { type BuildRecords, makeCache } from "./make-cache.ts";
import { pushEarly } from "./push-early.ts";

/** Writes the records of a build, and their layers, to a place from which another machine imports them. */
export interface CacheExporter {
  /** A step has a result: what takes long may begin while the build goes on. */
  begin(result: StepResult): void;
  /** @throws BuildError `registry`, `authentication`, `output-failed`, unless errors are to be ignored. */
  write(records: BuildRecords): Promise<void>;
  /** Waits for what was begun. */
  settle(): Promise<void>;
}

export function makeCacheExporter(
  access: ImageAccess,
  target: LocalCacheTarget | RegistryCacheTarget,
): CacheExporter {
  const early = target.type === "registry" && target.mode === "max" ? pushEarly(access, target) : undefined;
  const settle = async () => early?.settle();
  return {
    begin: (result) => early?.begin(result),
    settle,
    async write(records) {
      await settle();
      await exportCache(access, records, target);
    },
  };
}

async function exportCache(
  access: ImageAccess,
  records: BuildRecords,
  target: LocalCacheTarget | RegistryCacheTarget,
): Promise<void> {
  const { emit, signal } = access;
  const name = nameCachePlace(target);
  const id = `export cache ${name}`;
  emit({ kind: "start", time: Date.now(), id, name: `export cache ${name}` });
  try {
    const cache = await makeCache(access, records, target);
    if (target.type === "local") await writeLocalCache(access, cache, target);
    else await pushCache(access, cache, target);
    emit({ kind: "end", time: Date.now(), id, outcome: "done" });
  } catch (error) {
    emit({ kind: "end", time: Date.now(), id, outcome: signal.aborted ? "canceled" : "failed" });
    if (signal.aborted || !target.ignoreError || !(error instanceof BuildError)) throw error;
    emit({ kind: "warning", time: Date.now(), message: `the cache is not written: ${error.message}` });
  }
}

async function pushCache(
  access: ImageAccess,
  cache: WrittenManifest,
  { reference, insecure }: RegistryCacheTarget,
): Promise<void> {
  await pushImage(access, parseImageReference(reference), {
    root: cache.descriptor,
    manifests: [cache],
    insecure,
  });
}

async function writeLocalCache(
  access: ImageAccess,
  cache: WrittenManifest,
  { directory, tag = "latest", reset = false }: LocalCacheTarget,
): Promise<void> {
  const { store, signal } = access;
  await completeBlobs([cache]);
  const { descriptor, manifest } = cache;
  await explainWrite(directory, async () => {
    const target = await copyToLayout({ directory, tag, reset, signal });
    const source = { openBlob: ({ digest }: typeof descriptor) => createReadStream(store.blobPath(digest)) };
    for (const blob of [...manifest.layers, manifest.config]) await target.writeBlob(blob, source, () => {});
    await target.writeRoot({ descriptor, bytes: await readBlob(store, descriptor.digest) });
  });
}
