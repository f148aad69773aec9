import type { TaskContext, Tasks } from "../threads/task.ts";
import { Transferred } from "../threads/task.ts";
import { type BlockToCompress, compressBlock } from "./compress-block.ts";
import { digestLayer } from "./digest-layer.ts";
import { indexUpperDirectory, type UpperRequest } from "./index-upper-directory.ts";
import { type IngestRequest, ingestLayer, readFileChunks } from "./ingest-layer.ts";
import type { Layer } from "./layer.ts";
import { makeWorkdirLayer, type WorkdirRequest } from "./make-workdir-layer.ts";
import { type MaterialiseRequest, materialiseLayer } from "./materialise-layer.ts";
import { type PackRequest, packLayer } from "./pack-layer.ts";

/** Decides what of a build context is left out (`.dockerignore`); paths are relative text, `/` between components. */
export interface IgnoreMatcher {
  excludes(path: string): boolean;
  /** True when nothing below the excluded directory can be included again, so that a walk need not enter it. */
  canSkipDirectory(path: string): boolean;
}

export interface LayerTaskOptions {
  readonly makeIgnoreMatcher: (patterns: readonly string[]) => IgnoreMatcher;
}

/** What a worker thread can do with layers: `serveTasks({ ...makeLayerTasks(...) })` in the worker's entry file. */
export function makeLayerTasks(_options: LayerTaskOptions): Tasks {
  return {
    ingestLayer: (request: IngestRequest & { readonly filePath?: string }, context: TaskContext) => {
      const { filePath, ...rest } = request;
      return ingestLayer(rest, {
        bytes: filePath === undefined ? context.bytes : readFileChunks(filePath),
        signal: context.signal,
        onProgress: reportProgress(context, request.size),
      });
    },
    makeWorkdirLayer: (request: WorkdirRequest) => makeWorkdirLayer(request),
    indexUpperDirectory: (request: UpperRequest, context: TaskContext) =>
      indexUpperDirectory(request, () => context.throwIfAborted()),
    digestLayer: (layer: Layer, context: TaskContext) => digestLayer(layer, () => context.throwIfAborted()),
    materialiseLayer: (request: MaterialiseRequest, context: TaskContext) =>
      materialiseLayer(request, () => context.throwIfAborted()),
    packLayer: (request: PackRequest, context: TaskContext) =>
      packLayer(request, {
        parallel: context.poolSize * 2,
        compress: (block) => context.run("compressBlock", block, { transfer: buffersOf(block) }),
        throwIfAborted: () => context.throwIfAborted(),
        onProgress: reportProgress(context),
      }),
    compressBlock: (block: BlockToCompress) => {
      const compressed = compressBlock(block);
      return new Transferred(compressed, ownBuffers([compressed]));
    },
  };
}

const PROGRESS_INTERVAL_MS = 100;

function reportProgress(context: TaskContext, totalBytes?: number): (doneBytes: number) => void {
  let last = 0;
  return (doneBytes) => {
    const now = performance.now();
    if (now - last < PROGRESS_INTERVAL_MS) return;
    last = now;
    context.emit({ doneBytes, ...(totalBytes === undefined ? {} : { totalBytes }) });
  };
}

function buffersOf({ block, dictionary }: BlockToCompress): ArrayBuffer[] {
  return ownBuffers(dictionary === undefined ? [block] : [block, dictionary]);
}

/** Buffers that hold these bytes and nothing else: a shared one must not change hands. */
function ownBuffers(chunks: readonly Uint8Array[]): ArrayBuffer[] {
  const buffers: ArrayBuffer[] = [];
  for (const { buffer, byteLength } of chunks) {
    if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffers.push(buffer);
  }
  return buffers;
}
