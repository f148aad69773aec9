import { makeCopyContentKey, makeCopyKey, type StepKey } from "../cache/step-key.ts";
import { BuildError } from "../errors/build-error.ts";
import type { CopySource, CopyStep, StepId } from "../plan/plan.ts";
import { tellLongWork } from "../progress/tell-long-work.ts";
import type {
  CopyRequestSource,
  CopySelection,
  CopyTree,
  SelectCopyRequest,
} from "../rootfs/copy-request.ts";
import type { CopyDigest, WorkOptions } from "../rootfs/layer-work.ts";
import { hasFileList, writeFileList } from "../store/builds.ts";
import { fileDigestsPath } from "../store/file-digests.ts";
import { loadCopiedLayers } from "./load-copied-layers.ts";
import type { KeyedStep } from "./look-up.ts";
import { asRootfs, type KeyContext } from "./solve-plan.ts";
import type { DownloadedFile, Solved } from "./solved.ts";

/** A COPY or ADD whose inputs are solved. */
export interface KeyedCopy extends KeyedStep, AsyncDisposable {
  /** The files, selected and hashed when they are first asked for. */
  select(): Promise<CopySelection>;
}

/**
 * What a COPY or ADD may be found by: its definition where all sources have records, then the content of what would be written, so
 * that a rebuilt stage with the same files changes nothing further down.
 */
export async function keyCopy(step: CopyStep, context: KeyContext): Promise<KeyedCopy> {
  const { access, epochSeconds } = context;
  const { store, signal } = access;
  const [solvedBase, sources] = await Promise.all([context.solve(step.base), solveSources(step, context)]);
  const base = asRootfs(solvedBase);
  const inputs = (id: StepId) => recordIdOf(id === step.base ? base : sources.get(id)!);
  const ask = async <T>(
    call: (request: SelectCopyRequest, options: WorkOptions) => Promise<T>,
  ): Promise<T> => {
    const request = await makeRequest(step, sources, context);
    const told = { id: `read ${step.id}`, name: `read the files of ${step.name}`, label: "read" };
    return tellLongWork(access, told, (onProgress) => call(request, { signal, onProgress }));
  };
  let digesting: Promise<CopyDigest> | undefined;
  let selecting: Promise<CopySelection> | undefined;
  const digest = (): Promise<CopyDigest> => {
    digesting ??= ask(access.work.digestCopy);
    return digesting;
  };
  const select = async (): Promise<CopySelection> => {
    const { contentDigest, selection } = await digest();
    if (selection !== undefined) return selection;
    // It was known; what is written under its key has to be the same.
    const again = await ask(access.work.selectCopy);
    if (again.contentDigest === contentDigest) return again;
    await again[Symbol.asyncDispose]();
    throw new BuildError("copy-failed", `Cannot do "${step.name}": its files changed meanwhile`, {
      hint: "Build again when nothing writes them",
    });
  };
  const keyed: KeyedCopy = {
    base,
    select() {
      selecting ??= select();
      return selecting;
    },
    async *keys(): AsyncGenerator<StepKey> {
      const hasRecords = [...sources.values()].every((source) => recordIdOf(source) !== "");
      if (hasRecords) yield makeCopyKey(step, inputs, epochSeconds);
      const { contentDigest } = await digest();
      if (!hasFileList(store, contentDigest))
        writeFileList(store, contentDigest, await access.work.listSelection(await keyed.select()));
      yield makeCopyContentKey(step, inputs, { contentDigest, epochSeconds });
    },
    async [Symbol.asyncDispose]() {
      const digested = await digesting?.catch(() => undefined);
      const selection = (await selecting?.catch(() => undefined)) ?? digested?.selection;
      await selection?.[Symbol.asyncDispose]();
    },
  };
  return keyed;
}

async function makeRequest(
  step: CopyStep,
  sources: ReadonlyMap<StepId, Solved>,
  { access }: KeyContext,
): Promise<SelectCopyRequest> {
  const opened = await openSources(step, sources, access);
  return {
    sources: step.sources.map((source) => requestSource(source, opened)),
    destination: step.destination,
    chown: step.chown,
    chmod: step.chmod,
    parents: step.parents,
    exclude: step.exclude,
    link: step.link,
    // ADD unpacks local archives unless it is told not to, and downloaded ones only when it is told to.
    unpack: step.instruction === "ADD" && (step.unpack ?? "local"),
    temporaryDirectory: access.store.temporaryDirectory,
    fileDigestsPath: fileDigestsPath(access.store),
  };
}

async function solveSources(step: CopyStep, context: KeyContext): Promise<Map<StepId, Solved>> {
  const ids = new Set(step.sources.flatMap((source) => (source.kind === "inline" ? [] : [source.from])));
  return new Map(await Promise.all([...ids].map(async (id) => [id, await context.solve(id)] as const)));
}

type Opened =
  | { readonly kind: "tree"; readonly tree: CopyTree }
  | { readonly kind: "download"; readonly file: DownloadedFile };

async function openSources(
  step: CopyStep,
  sources: ReadonlyMap<StepId, Solved>,
  access: KeyContext["access"],
): Promise<ReadonlyMap<StepId, Opened>> {
  const open = async (from: StepId, solved: Solved): Promise<Opened> => {
    if (solved.kind === "download") return { kind: "download", file: await solved.open() };
    if (solved.kind === "files") return { kind: "tree", tree: await solved.open() };
    const layers = await loadCopiedLayers({ step, from, layers: solved.layers }, access);
    return { kind: "tree", tree: { kind: "layers", layers } };
  };
  return new Map(
    await Promise.all([...sources].map(async ([id, solved]) => [id, await open(id, solved)] as const)),
  );
}

/** Of a downloaded file, as docker has it. */
const DOWNLOAD_MODE = 0o600;

function requestSource(source: CopySource, opened: ReadonlyMap<StepId, Opened>): CopyRequestSource {
  if (source.kind === "inline") return source;
  const from = opened.get(source.from)!;
  if (from.kind === "tree") {
    const outside = source.kind === "path" ? source.outside : undefined;
    return { kind: "path", tree: from.tree, path: source.path, ...(outside !== undefined && { outside }) };
  }
  return { kind: "file", ...from.file, name: source.path.slice(1), mode: DOWNLOAD_MODE };
}

/** A context has no record: its part of the key is the content. */
function recordIdOf({ recordId = "" }: Solved): string {
  return recordId;
}
