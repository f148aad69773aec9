import type { ImageAccess } from "../image/image-access.ts";
import { isPlainOwner } from "../oci/is-plain-owner.ts";
import type { CopyStep } from "../plan/plan.ts";
import type { CopySelection } from "../rootfs/copy-request.ts";
import type { Layer } from "../rootfs/layer.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import type { StepRecord } from "../store/records.ts";
import { type KeyedCopy, keyCopy } from "./key-copy.ts";
import { loadUpperLayers, loadUserLayers } from "./load-upper-layers.ts";
import { type MissingStep, runOnce } from "./run-once.ts";
import { solveKeyed } from "./solve-keyed.ts";
import type { SolveContext } from "./solve-plan.ts";
import type { SolvedRootfs } from "./solved.ts";
import { keepRecord } from "./step-record.ts";

/** COPY and ADD: the files are streamed into a layer. */
export async function solveCopy(step: CopyStep, context: SolveContext): Promise<SolvedRootfs> {
  await using keyed = await keyCopy(step, context);
  return await solveKeyed(step, keyed, {
    async make(missing) {
      if (missing.recordId === undefined) return copyFiles(missing, keyed, context);
      // What was selected first is gone by then.
      await using again = await keyCopy(step, context);
      return await copyFiles(missing, again, context);
    },
    context,
  });
}

async function copyFiles(missing: MissingStep, keyed: KeyedCopy, context: SolveContext): Promise<StepRecord> {
  const { store, work, signal } = context.access;
  const selection = await keyed.select();
  const { base, userLayers } = await loadDestination(selection, keyed.base, context.access);
  const { totalBytes } = selection;
  let isTold = false;
  const onProgress = (progress: { readonly doneBytes: number }) => {
    isTold = true;
    missing.report.progress("copied", progress);
  };
  return runOnce(missing, context, async () => {
    const { layer } = await storeWrittenLayer(store, (layersDirectory) =>
      work.writeCopyLayer(
        { selection, base, userLayers, layersDirectory, mtime: context.epochSeconds },
        { signal, onProgress },
      ),
    );
    if (isTold) missing.report.progress("copied", { doneBytes: totalBytes, totalBytes });
    return keepRecord(store, layer, missing);
  });
}

/** The layers that say what is where a COPY puts its files, of which only the indexes are there for certain, and those that say who `--chown` names. */
export async function loadDestination(
  selection: CopySelection,
  { layers }: SolvedRootfs,
  access: ImageAccess,
): Promise<{ readonly base: readonly Layer[]; readonly userLayers: readonly Layer[] }> {
  const { work, signal } = access;
  const { link, chown = "" } = selection.request;
  const settle = (upper: readonly Layer[]) =>
    work.settleDestination({ selection, layers: upper }, { signal });
  return {
    base: link ? [] : await loadUpperLayers({ layers, settle, onlyIndexes: true }),
    userLayers: isPlainOwner(chown) ? [] : await loadUserLayers(layers, access),
  };
}
