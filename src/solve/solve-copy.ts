import { makeCopyContentKey, makeCopyKey } from "../cache/step-key.ts";
import { BuildError } from "../errors/build-error.ts";
import type { CopySource, CopyStep, StepId } from "../plan/plan.ts";
import type { CopyRequestSource, CopyTree } from "../rootfs/copy-request.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { reportStep } from "./report-step.ts";
import { asRootfs, type SolveContext } from "./solve-plan.ts";
import type { Solved, SolvedRootfs } from "./solved.ts";
import { addLayer, aliasRecord, keepRecord, loadLayers, reuseRecord } from "./step-record.ts";

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
    const hasRecords = [...sources.values()].every((source) => source.kind === "rootfs");
    const definitionKey = hasRecords ? makeCopyKey(step, inputs) : undefined;
    const byDefinition = definitionKey && reuseRecord(step, definitionKey, context);
    if (byDefinition !== undefined) {
      report.cached();
      return addLayer(base, byDefinition, context);
    }

    const trees = await loadTrees(sources);
    const needsBase = !step.link;
    await using selection = await work.selectCopy(
      {
        sources: step.sources.map((source) => requestSource(source, trees)),
        destination: step.destination,
        chown: step.chown,
        chmod: step.chmod,
        parents: step.parents,
        exclude: step.exclude,
        link: step.link,
        unpack: step.unpack,
        temporaryDirectory: store.temporaryDirectory,
        ...(needsNames(step.chown) && { base: await loadLayers(base) }),
      },
      { signal },
    );
    const contentKey = makeCopyContentKey(step, inputs, selection.contentDigest);
    const byContent = reuseRecord(step, contentKey, context);
    if (byContent !== undefined) {
      if (definitionKey !== undefined) aliasRecord(store, byContent, definitionKey);
      report.cached();
      return addLayer(base, byContent, context);
    }

    const baseLayers = needsBase ? await loadLayers(base) : [];
    const { layer } = await storeWrittenLayer(store, (layersDirectory) =>
      work.writeCopyLayer({ selection, base: baseLayers, layersDirectory }, { signal }),
    );
    const keys = definitionKey === undefined ? [contentKey] : [contentKey, definitionKey];
    return addLayer(base, keepRecord(store, layer, keys), context);
  });
}

async function solveSources(step: CopyStep, context: SolveContext): Promise<Map<StepId, Solved>> {
  const ids = new Set(step.sources.flatMap((source) => (source.kind === "inline" ? [] : [source.from])));
  return new Map(await Promise.all([...ids].map(async (id) => [id, await context.solve(id)] as const)));
}

async function loadTrees(sources: ReadonlyMap<StepId, Solved>): Promise<ReadonlyMap<StepId, CopyTree>> {
  const load = async (solved: Solved): Promise<CopyTree> =>
    solved.kind === "files"
      ? { kind: "directory", directory: solved.directory, ignorePatterns: solved.ignorePatterns }
      : { kind: "layers", layers: await loadLayers(solved) };
  return new Map(
    await Promise.all([...sources].map(async ([id, solved]) => [id, await load(solved)] as const)),
  );
}

function requestSource(source: CopySource, trees: ReadonlyMap<StepId, CopyTree>): CopyRequestSource {
  switch (source.kind) {
    case "inline":
      return source;
    case "path":
      return { kind: "path", tree: trees.get(source.from)!, path: source.path };
    case "remote":
      throw new BuildError("unsupported", `Cannot add "${source.path}": ADD of URLs is not there yet`);
  }
}

/** A name in `--chown` is looked up in the destination's own files. */
function needsNames(chown: string | undefined): boolean {
  return chown !== undefined && !/^\d*(?::\d*)?$/.test(chown);
}

/** A context has no record: its part of the key is the content. */
function recordIdOf(solved: Solved): string {
  return solved.kind === "rootfs" ? solved.recordId : "";
}
