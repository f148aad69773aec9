import type { TaskContext, Tasks } from "../threads/task.ts";
import { Transferred } from "../threads/task.ts";
import { type CheckLayerRequest, checkIndex, checkLayer, digestFile } from "./check-layer.ts";
import { type BlockToCompress, compressBlock, freeBlock } from "./compress-block.ts";
import type { SelectCopyRequest } from "./copy-request.ts";
import { digestLayer } from "./digest-layer.ts";
import { type DigestSubtreeRequest, digestSubtree } from "./digest-subtree.ts";
import type { MakeIgnoreMatcher } from "./ignore-matcher.ts";
import { type ChangesRequest, indexChanges } from "./index-changes.ts";
import { indexUpperDirectory, type UpperRequest } from "./index-upper-directory.ts";
import { type IngestRequest, ingestLayer, readFileChunks } from "./ingest-layer.ts";
import type { Layer } from "./layer.ts";
import { listSelection } from "./list-selection.ts";
import { type MaterialiseRequest, materialiseLayer } from "./materialise-layer.ts";
import { type PackRequest, packLayer } from "./pack-layer.ts";
import { reportProgress } from "./report-progress.ts";
import type { PlainSelection } from "./select-copy.ts";
import { selectTraced, type TraceKey } from "./selection-trace.ts";
import { type SettleDestinationRequest, settleDestination } from "./settle-destination.ts";
import { type SettlePathsRequest, settlePaths } from "./settle-paths.ts";
import { type PlainWriteCopyRequest, writeCopyLayer } from "./write-copy-layer.ts";
import { type LayerErofsRequest, writeLayerErofs } from "./write-layer-erofs.ts";

export interface LayerTaskOptions {
  /** For `.dockerignore`, `--exclude` and `--parents`. */
  readonly makeIgnoreMatcher: MakeIgnoreMatcher;
}

/** A selection, and what it shall be known by. */
interface TracedSelection {
  readonly request: SelectCopyRequest;
  readonly traceKey: TraceKey | undefined;
}

/** What a worker thread can do with layers: `serveTasks({ ...makeLayerTasks(...) })` in the worker's entry file. */
export function makeLayerTasks({ makeIgnoreMatcher }: LayerTaskOptions): Tasks {
  const copyOptions = (context: TaskContext, totalBytes?: number) => ({
    makeIgnoreMatcher,
    throwIfAborted: () => context.throwIfAborted(),
    onProgress: reportProgress(context, totalBytes),
  });
  return {
    selectCopy: ({ request, traceKey }: TracedSelection, context: TaskContext) =>
      selectTraced(request, copyOptions(context), traceKey),
    settlePaths: (request: SettlePathsRequest) => settlePaths(request),
    settleDestination: (request: SettleDestinationRequest) => settleDestination(request),
    writeCopyLayer: (request: PlainWriteCopyRequest, context: TaskContext) =>
      writeCopyLayer(request, copyOptions(context, request.selection.totalBytes)),
    listSelection: (selection: PlainSelection) => {
      const list = listSelection(selection);
      return new Transferred(list, ownBuffers([list]));
    },
    digestSubtree: (request: DigestSubtreeRequest, context: TaskContext) =>
      digestSubtree(request, copyOptions(context)),
    ingestLayer: (request: IngestRequest & { readonly filePath?: string }, context: TaskContext) => {
      const { filePath, ...rest } = request;
      return ingestLayer(rest, {
        bytes: filePath === undefined ? context.bytes : readFileChunks(filePath),
        signal: context.signal,
        onProgress: reportProgress(context, request.size),
      });
    },
    indexUpperDirectory: (request: UpperRequest, context: TaskContext) =>
      indexUpperDirectory(request, () => context.throwIfAborted()),
    indexChanges: (request: ChangesRequest, context: TaskContext) =>
      indexChanges(request, () => context.throwIfAborted()),
    checkLayer: (request: CheckLayerRequest, context: TaskContext) =>
      checkLayer(request, () => context.throwIfAborted()),
    checkIndex: (path: string, context: TaskContext) => checkIndex(path, () => context.throwIfAborted()),
    digestFile: (path: string, context: TaskContext) => digestFile(path, () => context.throwIfAborted()),
    digestLayer: (layer: Layer, context: TaskContext) => digestLayer(layer, () => context.throwIfAborted()),
    materialiseLayer: (request: MaterialiseRequest, context: TaskContext) =>
      materialiseLayer(request, {
        throwIfAborted: () => context.throwIfAborted(),
        onProgress: reportProgress(context),
      }),
    writeLayerErofs: (request: LayerErofsRequest, context: TaskContext) =>
      writeLayerErofs(request, () => context.throwIfAborted()),
    packLayer: (request: PackRequest, context: TaskContext) =>
      packLayer(request, {
        parallel: context.poolSize + 3,
        compress: (block) => context.run("compressBlock", block, { transfer: buffersOf(block) }),
        throwIfAborted: () => context.throwIfAborted(),
        onProgress: reportProgress(context),
      }),
    compressBlock: (block: BlockToCompress) => {
      const compressed = compressBlock(block);
      freeBlock(block);
      return new Transferred(compressed, ownBuffers([compressed]));
    },
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
