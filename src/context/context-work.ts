import type { InputLimits } from "../errors/input-limits.ts";
import type { Layer } from "../rootfs/layer.ts";
import type { ThreadPool } from "../threads/thread-pool.ts";

export interface ArchiveRequest {
  /** Tar: plain, gzip, zstd, bzip2 or xz, told by content. */
  readonly filePath: string;
  /** Where the layer goes: a new directory. */
  readonly directory: string;
  readonly limits: InputLimits;
}

export interface FilterRequest {
  readonly layer: Layer;
  readonly ignorePatterns: readonly string[];
  /** Made by the call. */
  readonly indexPath: string;
}

/** The work on archives that are contexts, done in worker threads. */
export interface ContextWork {
  /** An archive as a layer: nothing of it becomes a file on disk. @throws BuildError `copy-failed`, `input-limit`; undefined when it is none. */
  readArchive(request: ArchiveRequest, signal: AbortSignal): Promise<Layer | undefined>;
  /** The same layer as a context: everything belongs to 0:0, what is ignored is not there. */
  filterLayer(request: FilterRequest, signal: AbortSignal): Promise<Layer>;
}

export function makeContextWork(pool: ThreadPool): ContextWork {
  return {
    readArchive: (request, signal) => pool.run("readArchive", request, { signal }),
    filterLayer: (request, signal) => pool.run("filterLayer", request, { signal }),
  };
}
