import { makeCopyContentKey, makeCopyKey } from "../cache/step-key.ts";
import type { CopySource, CopyStep, StepId } from "../plan/plan.ts";
import type { CopyRequestSource, CopyTree } from "../rootfs/copy-request.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { hasFileList, writeFileList } from "../store/builds.ts";
import { fileDigestsPath } from "../store/file-digests.ts";
import { loadCopiedLayers } from "./load-copied-layers.ts";
import { loadUpperLayers, loadUserLayers } from "./load-upper-layers.ts";
import { reportStep } from "./report-step.ts";
import { runOnce } from "./run-once.ts";
import { asRootfs, type SolveContext } from "./solve-plan.ts";
import type { DownloadedFile, Solved, SolvedRootfs } from "./solved.ts";
import { addLayer, aliasRecord, keepRecord, reuseRecord } from "./step-record.ts";

/**
 * COPY and ADD: looked up by definition where all sources have records, then by the content of what would be written, so
 * that a rebuilt stage with the same files changes nothing further down.
 */
export async function solveCopy(step: CopyStep, context: SolveContext): Promise<SolvedRootfs> {
  const { store, work, signal } = context.access;
  const [solvedBase, sources] = await Promise.all([context.solve(step.base), solveSources(step, context)]);
  const base = asRootfs(solvedBase);
  const inputs = (id: StepId) => recordIdOf(id === step.base ? base : sources.get(id)!);
  return reportStep(step, context, async (report) => {
    const hasRecords = [...sources.values()].every((source) => recordIdOf(source) !== "");
    const definitionKey = hasRecords ? makeCopyKey(step, inputs, context.epochSeconds) : undefined;
    const byDefinition = definitionKey && reuseRecord(step, definitionKey, context);
    if (byDefinition !== undefined) {
      report.cached();
      context.trace.add({ step, key: definitionKey!, outcome: "hit", recordId: byDefinition.id });
      return addLayer(base, byDefinition, context);
    }

    const opened = await openSources(step, sources, context);
    await using selection = await work.selectCopy(
      {
        sources: step.sources.map((source) => requestSource(source, opened)),
        destination: step.destination,
        chown: step.chown,
        chmod: step.chmod,
        parents: step.parents,
        exclude: step.exclude,
        link: step.link,
        // ADD unpacks local archives unless it is told not to, and downloaded ones only when it is told to.
        unpack: step.instruction === "ADD" && (step.unpack ?? "local"),
        temporaryDirectory: store.temporaryDirectory,
        fileDigestsPath: fileDigestsPath(store),
        ...(needsNames(step.chown) && { base: await loadUserLayers(base.layers, context.access) }),
      },
      { signal },
    );
    const contentKey = makeCopyContentKey(step, inputs, {
      contentDigest: selection.contentDigest,
      epochSeconds: context.epochSeconds,
    });
    const content = selection.contentDigest;
    if (!hasFileList(store, content)) writeFileList(store, content, await work.listSelection(selection));
    const byContent = reuseRecord(step, contentKey, context);
    if (byContent !== undefined) {
      if (definitionKey !== undefined) aliasRecord(store, byContent, definitionKey);
      report.cached();
      context.trace.add({ step, key: contentKey, outcome: "hit", recordId: byContent.id, content });
      return addLayer(base, byContent, context);
    }

    const baseLayers = step.link
      ? []
      : await loadUpperLayers({
          layers: base.layers,
          settle: (layers) => work.settleDestination({ selection, layers }, { signal }),
          onlyIndexes: true,
        });
    const keys = definitionKey === undefined ? [contentKey] : [definitionKey, contentKey];
    const record = await runOnce({ step, keys, report, content }, context, async () => {
      const { layer } = await storeWrittenLayer(store, (layersDirectory) =>
        work.writeCopyLayer(
          { selection, base: baseLayers, layersDirectory, mtime: context.epochSeconds },
          { signal },
        ),
      );
      return keepRecord(store, layer, keys);
    });
    return addLayer(base, record, context);
  });
}

async function solveSources(step: CopyStep, context: SolveContext): Promise<Map<StepId, Solved>> {
  const ids = new Set(step.sources.flatMap((source) => (source.kind === "inline" ? [] : [source.from])));
  return new Map(await Promise.all([...ids].map(async (id) => [id, await context.solve(id)] as const)));
}

type Opened =
  | { readonly kind: "tree"; readonly tree: CopyTree }
  | { readonly kind: "download"; readonly file: DownloadedFile };

async function openSources(
  step: CopyStep,
  sources: ReadonlyMap<StepId, Solved>,
  { access }: SolveContext,
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
  if (from.kind === "tree") return { kind: "path", tree: from.tree, path: source.path };
  return { kind: "file", ...from.file, name: source.path.slice(1), mode: DOWNLOAD_MODE };
}

/** A name in `--chown` is looked up in the destination's own files. */
function needsNames(chown: string | undefined): boolean {
  return chown !== undefined && !/^\d*(?::\d*)?$/.test(chown);
}

/** A context has no record: its part of the key is the content. */
function recordIdOf({ recordId = "" }: Solved): string {
  return recordId;
}
