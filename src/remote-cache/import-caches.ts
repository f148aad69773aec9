import { BuildError } from "../errors/build-error.ts";
import type { CopySource } from "../export/copy-image.ts";
import { copyFromLayout } from "../export/copy-layout.ts";
import { copyFromRegistry } from "../export/copy-registry.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { familiarName, parseImageReference } from "../oci/reference.ts";
import type { ImportedRecord, ImportedRecords } from "../solve/step-record.ts";
import { type CacheSource, nameCachePlace } from "./cache-places.ts";
import { type ImportedCache, readCache } from "./read-cache.ts";

/**
 * Reads the records of caches; their layers come when somebody asks for them. A cache that is not there, or cannot be asked, is a
 * warning: the build does without it.
 *
 * @throws BuildError `image-invalid`, `unsupported` (another builder's cache), `verification`.
 */
export async function importCaches(
  access: ImageAccess,
  sources: readonly CacheSource[],
): Promise<ImportedRecords> {
  const imported = await Promise.all(sources.map((source) => importCache(access, source)));
  const byKey = new Map<string, ImportedRecord>();
  // The first cache that has files wins.
  for (const record of imported.flatMap(({ records }) => records)) {
    for (const key of record.keys) {
      const known = byKey.get(key);
      if (known === undefined || (known.layer === undefined && record.layer !== undefined))
        byKey.set(key, record);
    }
  }
  const mounts = new Map(imported.toReversed().flatMap((cache) => [...cache.mounts]));
  return { find: (key) => byKey.get(key), mounts };
}

/** What a cache that is not there, or whose registry does not answer, fails with. */
const ABSENT: readonly string[] = ["image-not-found", "authentication", "registry"];

async function importCache(access: ImageAccess, source: CacheSource): Promise<ImportedCache> {
  const { emit, signal } = access;
  const name = nameCachePlace(source);
  const id = `import cache ${name}`;
  emit({ kind: "start", time: Date.now(), id, name: `import cache ${name}` });
  try {
    const cache = await readCache(access, await openSource(access, source));
    emit({ kind: "end", time: Date.now(), id, outcome: "done" });
    return cache;
  } catch (error) {
    emit({ kind: "end", time: Date.now(), id, outcome: signal.aborted ? "canceled" : "failed" });
    if (signal.aborted || !(error instanceof BuildError) || !ABSENT.includes(error.code)) throw error;
    const message = `the build goes on without the cache "${name}": ${error.message}`;
    emit({ kind: "warning", time: Date.now(), message });
    return { records: [], mounts: new Map() };
  }
}

async function openSource(access: ImageAccess, source: CacheSource): Promise<CopySource> {
  const { limits, signal } = access;
  if (source.type === "local")
    return copyFromLayout({ directory: source.directory, tag: source.selector, limits, signal });
  const reference = parseImageReference(source.reference);
  const registry = await access.openRegistry({ insecure: source.insecure });
  return { ...copyFromRegistry(access, { registry, reference }), name: familiarName(reference) };
}
