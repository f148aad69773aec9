import type { ImageAccess } from "../image/image-access.ts";
import type { CacheSource, CacheTarget } from "../remote-cache/cache-places.ts";
import type { BuildRecords } from "../remote-cache/make-cache.ts";
import { makeRecordLedger, type RecordLedger } from "../solve/record-ledger.ts";
import type { ImportedRecords } from "../solve/step-record.ts";

/** The caches of other machines that one build reads and writes; the code for them is loaded only when there are some. */
export interface TravellingCaches {
  /** Asked for while the build is planned. */
  readonly imports: Promise<ImportedRecords | undefined>;
  /** Absent where nothing is written. */
  readonly ledger?: RecordLedger;
  /** Writes all of them. */
  write(outputs: BuildRecords["outputs"]): Promise<void>;
}

export function useCaches(
  access: ImageAccess,
  { from = [], to = [] }: { readonly from?: readonly CacheSource[]; readonly to?: readonly CacheTarget[] },
): TravellingCaches {
  const imports = from.length === 0 ? Promise.resolve(undefined) : readCaches(access, from);
  // The build may fail for another reason before it asks.
  imports.catch(() => {});
  const ledger = to.length === 0 ? undefined : makeRecordLedger();
  return {
    imports,
    ...(ledger && { ledger }),
    async write(outputs) {
      for (const target of to) {
        if (target.type === "inline") continue;
        const { exportCache } = await import("../remote-cache/export-cache.ts");
        await exportCache(access, { ledger: ledger!, outputs }, target);
      }
    },
  };
}

async function readCaches(access: ImageAccess, from: readonly CacheSource[]): Promise<ImportedRecords> {
  const { importCaches } = await import("../remote-cache/import-caches.ts");
  return importCaches(access, from);
}
