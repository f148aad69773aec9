import { rm } from "node:fs/promises";
import type { InputLimits } from "../errors/input-limits.ts";
import type { Digest } from "../oci/digest.ts";
import type { ThreadPool } from "../threads/thread-pool.ts";
import type { CheckLayerRequest } from "./check-layer.ts";
import type { CopySelection, SelectCopyRequest, WriteCopyRequest, WrittenLayer } from "./copy-request.ts";
import type { LayerDigest } from "./digest-layer.ts";
import type { DigestedSubtree, DigestSubtreeRequest } from "./digest-subtree.ts";
import type { MakeIgnoreMatcher } from "./ignore-matcher.ts";
import type { ChangesRequest, IndexedChanges } from "./index-changes.ts";
import { indexUpperDirectory, type UpperRequest } from "./index-upper-directory.ts";
import type { IngestedLayer, IngestRequest } from "./ingest-layer.ts";
import type { Layer } from "./layer.ts";
import type { WorkdirRequest } from "./make-workdir-layer.ts";
import type { MaterialiseRequest } from "./materialise-layer.ts";
import type { PackedLayer, PackRequest } from "./pack-layer.ts";
import type { RewriteTimesRequest } from "./rewrite-times.ts";
import type { PlainSelection } from "./select-copy.ts";
import type { SettleDestinationRequest } from "./settle-destination.ts";
import type { LayersNeeded, SettlePathsRequest } from "./settle-paths.ts";
import type { SquashRequest } from "./squash-layers.ts";
import type { WriteTreeTarRequest } from "./tree-tar.ts";
import { isSmall, whenSmall } from "./when-small.ts";
import type { LayerErofsRequest } from "./write-layer-erofs.ts";
import type { WriteTreeDirectoryRequest } from "./write-tree-directory.ts";

export interface WorkOptions {
  readonly signal?: AbortSignal;
  /** How far the work is; called at most every 100 ms. */
  readonly onProgress?: (progress: WorkProgress) => void;
}

export interface WorkProgress {
  readonly doneBytes: number;
  readonly totalBytes?: number;
}

export interface CopyDigest {
  readonly contentDigest: Digest;
  readonly selection?: CopySelection;
}

/** The work on layers, done in worker threads: what the main thread calls. */
export interface LayerWork {
  /** A large piece of work is to come: a thread for it starts. */
  warmUp(): void;
  /**
   * Reads a layer's blob once: verifies, inflates, hashes and indexes it.
   * `bytes` is a stream of the blob, or the path of a file that holds it.
   * @throws BuildError `verification` (digest, size, diff ID), `image-invalid` (not a layer), `input-limit`.
   */
  ingestLayer(
    request: IngestRequest & { readonly bytes: AsyncIterable<Uint8Array> | string },
    options?: WorkOptions,
  ): Promise<IngestedLayer>;
  /** How many layers below the given ones it takes to know what a COPY's paths are: `settle-paths.ts`. */
  settlePaths(request: SettlePathsRequest, options?: WorkOptions): Promise<LayersNeeded>;
  /** How many layers below the given ones it takes to write a COPY: `settle-destination.ts`. */
  settleDestination(
    request: SettleDestinationRequest<CopySelection>,
    options?: WorkOptions,
  ): Promise<LayersNeeded>;
  /** @throws BuildError `copy-source-missing`, `copy-failed`, `option-invalid`. */
  selectCopy(request: SelectCopyRequest, options?: WorkOptions): Promise<CopySelection>;
  /**
   * The content digest of what `selectCopy` would find; with it the selection, unless it is known that nothing has changed since an earlier one.
   * @throws what `selectCopy` throws.
   */
  digestCopy(request: SelectCopyRequest, options?: WorkOptions): Promise<CopyDigest>;
  /** The files of a selection with the beginnings of their digests, compressed: `list-selection.ts`. */
  listSelection(selection: CopySelection, options?: WorkOptions): Promise<Uint8Array>;
  /** @throws BuildError `copy-failed`. */
  writeCopyLayer(request: WriteCopyRequest, options?: WorkOptions): Promise<WrittenLayer>;
  /** The layer of a WORKDIR: an empty tar when the directory exists. */
  makeWorkdirLayer(request: WorkdirRequest): Promise<WrittenLayer>;
  /** Makes a layer of what a RUN left in its upper directory; of few files in this thread. */
  indexUpperDirectory(request: UpperRequest, options?: WorkOptions): Promise<Layer>;
  /** Makes a layer of what a directory has become since it was last saved: `index-changes.ts`. */
  indexChanges(request: ChangesRequest, options?: WorkOptions): Promise<IndexedChanges>;
  packLayer(request: PackRequest, options?: WorkOptions): Promise<PackedLayer>;
  digestLayer(layer: Layer, options?: WorkOptions): Promise<LayerDigest>;
  /** What is wrong with a layer of the store; undefined when all is well. */
  checkLayer(request: CheckLayerRequest, options?: WorkOptions): Promise<string | undefined>;
  /** What is wrong with an index whose layer is gone; undefined when all is well. */
  checkIndex(path: string, options?: WorkOptions): Promise<string | undefined>;
  /** SHA-256 of a file, in hex. */
  digestFile(path: string, options?: WorkOptions): Promise<string>;
  materialiseLayer(request: MaterialiseRequest, options?: WorkOptions): Promise<void>;
  /** False when the layer needs to be unpacked. */
  writeLayerErofs(request: LayerErofsRequest, options?: WorkOptions): Promise<boolean>;
  /** Digest of a subtree's content in the way of a content key: for RUN's bind mounts. */
  digestSubtree(request: DigestSubtreeRequest, options?: WorkOptions): Promise<DigestedSubtree>;
  /** The same layer with other times. */
  rewriteTimes(request: RewriteTimesRequest, options?: WorkOptions): Promise<WrittenLayer>;
  /** One layer in place of all. */
  squashLayers(request: SquashRequest, options?: WorkOptions): Promise<WrittenLayer>;
  /** Writes root file systems as files of the caller. @throws BuildError `output-failed`. */
  writeTreeDirectory(request: WriteTreeDirectoryRequest, options?: WorkOptions): Promise<void>;
  /** Writes root file systems as one tar. @throws BuildError `output-failed`. */
  writeTreeTar(request: WriteTreeTarRequest, options?: WorkOptions): Promise<void>;
}

/** `limits` hold for what comes from outside. With `makeIgnoreMatcher` small selections and copies take no thread. */
export function makeLayerWork(
  pool: ThreadPool,
  {
    limits,
    makeIgnoreMatcher,
  }: { readonly limits?: InputLimits; readonly makeIgnoreMatcher?: MakeIgnoreMatcher } = {},
): LayerWork {
  const run = <Result>(name: string, input: unknown, options: WorkOptions = {}): Promise<Result> =>
    pool.run<Result>(name, input, {
      signal: options.signal,
      onEvent: (event) => options.onProgress?.(event as WorkProgress),
    });
  const selectSmall = async (request: SelectCopyRequest) =>
    makeIgnoreMatcher && (await loadSmallWork()).selectCopy(request, makeIgnoreMatcher);
  const selectLarge = async (request: SelectCopyRequest, options?: WorkOptions) => {
    const traceKey = (await loadTraces()).traceKeyOf(request);
    return run<PlainSelection>("selectCopy", { request, traceKey }, options);
  };
  return {
    warmUp: () => pool.warmUp(),
    ingestLayer({ bytes, ...plain }, options = {}) {
      const request = { limits, ...plain };
      if (typeof bytes === "string") return run("ingestLayer", { ...request, filePath: bytes }, options);
      return pool.run("ingestLayer", request, {
        signal: options.signal,
        onEvent: (event) => options.onProgress?.(event as WorkProgress),
        input: bytes,
      });
    },
    settlePaths: async (request, options) =>
      (await loadSmallWork()).settlePaths(request) ?? (await run("settlePaths", request, options)),
    async settleDestination({ selection, layers }, options) {
      const { [Symbol.asyncDispose]: _, ...plain } = selection;
      const request = { selection: plain, layers };
      if (isSmall(plain)) return (await loadSmallWork()).settleDestination(request);
      return run("settleDestination", request, options);
    },
    selectCopy: async (request, options) =>
      disposable((await selectSmall(request)) ?? (await selectLarge(request, options))),
    async digestCopy(request, options) {
      const small = await selectSmall(request);
      const known =
        small === undefined && (await (await loadTraces()).recallSelection(request, options?.signal));
      if (known) return { contentDigest: known };
      const selection = disposable(small ?? (await selectLarge(request, options)));
      return { contentDigest: selection.contentDigest, selection };
    },
    async listSelection({ [Symbol.asyncDispose]: _, ...plain }, options) {
      if (isSmall(plain)) return (await loadSmallWork()).listSelection(plain);
      return run("listSelection", plain, options);
    },
    async writeCopyLayer({ selection, ...rest }, options) {
      const { [Symbol.asyncDispose]: _, ...plain } = selection;
      const request = { limits, ...rest, selection: plain };
      const mayUnpack = plain.items.some((item) => item.mayUnpack);
      if (makeIgnoreMatcher && isSmall(plain) && !mayUnpack)
        return (await loadSmallWork()).writeCopyLayer(request, { makeIgnoreMatcher });
      return run("writeCopyLayer", request, options);
    },
    makeWorkdirLayer: async (request) => (await loadSmallWork()).makeWorkdirLayer(request),
    indexUpperDirectory: async (request, options) =>
      whenSmall(({ onLook }) => indexUpperDirectory(request, onLook)) ??
      (await run("indexUpperDirectory", request, options)),
    indexChanges: (request, options) => run("indexChanges", request, options),
    packLayer: async (request, options) =>
      (await (await loadSmallWork()).packLayer(request)) ?? (await run("packLayer", request, options)),
    digestLayer: async (layer, options) =>
      (await loadSmallWork()).digestLayer(layer) ?? (await run("digestLayer", layer, options)),
    checkLayer: (request, options) => run("checkLayer", request, options),
    checkIndex: (path, options) => run("checkIndex", path, options),
    digestFile: (path, options) => run("digestFile", path, options),
    materialiseLayer: (request, options) => run("materialiseLayer", request, options),
    writeLayerErofs: async (request, options) =>
      (await loadSmallWork()).writeLayerErofs(request) ?? (await run("writeLayerErofs", request, options)),
    digestSubtree: (request, options) => run("digestSubtree", request, options),
    rewriteTimes: (request, options) => run("rewriteTimes", request, options),
    squashLayers: (request, options) => run("squashLayers", request, options),
    writeTreeDirectory: (request, options) => run("writeTreeDirectory", request, options),
    writeTreeTar: (request, options) => run("writeTreeTar", request, options),
  };
}

function disposable(selection: PlainSelection): CopySelection {
  const dispose = async () => {
    // Nobody waits for it: it lies in a directory that goes.
    rm(selection.selectionPath, { force: true }).catch(() => {});
  };
  return { ...selection, [Symbol.asyncDispose]: dispose };
}

/** Only a COPY of many files needs it. */
const loadTraces = () => import("./selection-trace.ts");

/** Only a build that has something to do needs it. */
async function loadSmallWork() {
  return (await import("./small-work.ts")).smallWork;
}
