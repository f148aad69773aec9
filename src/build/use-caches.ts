import type { AssembleOptions } from "../image/assemble-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { CacheSource, CacheTarget } from "../remote-cache/cache-places.ts";
import type { CacheExporter } from "../remote-cache/export-cache.ts";
import { makeRecordLedger, type RecordLedger } from "../solve/record-ledger.ts";
import type { SolvedRootfs } from "../solve/solved.ts";
import type { ImportedRecords } from "../solve/step-record.ts";
import type { BuildOptions } from "./build-options.ts";

/** The caches of other machines that one build reads and writes. To close it ends what is under way. */
export interface TravellingCaches extends AsyncDisposable {
  /** Asked for while the build is planned. */
  readonly imports: Promise<ImportedRecords | undefined>;
  /** Absent where nothing is written. */
  readonly ledger?: RecordLedger;
  /** What images have of it in their configs. */
  readonly addKeys?: AssembleOptions["addKeys"];
  /** Writes those that are no part of an image. */
  write(outputs: readonly SolvedRootfs[]): Promise<void>;
}

/** The code for them is loaded only when there are some. */
export async function useCaches(
  access: ImageAccess,
  { from = [], to = [] }: { readonly from?: readonly CacheSource[]; readonly to?: readonly CacheTarget[] },
): Promise<TravellingCaches> {
  const stop = new AbortController();
  const own = { ...access, signal: AbortSignal.any([access.signal, stop.signal]) };
  const imports = from.length === 0 ? Promise.resolve(undefined) : readCaches(own, from);
  // The build may fail for another reason before it asks.
  imports.catch(() => {});
  const exporter = to.length === 0 ? undefined : await openExporter(own, { to, imports });
  return {
    imports,
    ...exporter,
    write: async (outputs) => exporter?.write(outputs),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.allSettled([imports, exporter?.settle()]);
    },
  };
}

async function readCaches(access: ImageAccess, from: readonly CacheSource[]): Promise<ImportedRecords> {
  const { importCaches } = await import("../remote-cache/import-caches.ts");
  return importCaches(access, from);
}

async function openExporter(
  access: ImageAccess,
  { to, imports }: { readonly to: readonly CacheTarget[]; readonly imports: TravellingCaches["imports"] },
) {
  const { makeCacheExporter } = await import("../remote-cache/export-cache.ts");
  const { makeInlineCache } = await import("../remote-cache/make-cache.ts");
  const exporters: CacheExporter[] = to.flatMap((target) =>
    target.type === "inline" ? [] : [makeCacheExporter(access, target)],
  );
  const ledger = makeRecordLedger((result) => {
    for (const exporter of exporters) exporter.begin(result);
  });
  return {
    ledger,
    ...(to.some(({ type }) => type === "inline") && { addKeys: makeInlineCache(access, ledger) }),
    async write(outputs: readonly SolvedRootfs[]) {
      const found = await imports;
      for (const exporter of exporters) await exporter.write({ ledger, outputs, imports: found });
    },
    settle: () => Promise.all(exporters.map((exporter) => exporter.settle())),
  };
}

/** docker's build argument asks for an inline cache, too. */
export function listCacheTargets({ cacheTo = [], buildArgs }: BuildOptions): readonly CacheTarget[] {
  const wantsInline = /^(?:1|t|true)$/i.test(buildArgs?.BUILDKIT_INLINE_CACHE ?? "");
  return wantsInline ? [...cacheTo, { type: "inline" }] : cacheTo;
}
