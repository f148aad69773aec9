import type { CopyStep } from "../plan/plan.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { keyCopy } from "./key-copy.ts";
import { loadUpperLayers } from "./load-upper-layers.ts";
import { lookUp, takeHit } from "./look-up.ts";
import { reportStep } from "./report-step.ts";
import { runOnce } from "./run-once.ts";
import type { SolveContext } from "./solve-plan.ts";
import type { SolvedRootfs } from "./solved.ts";
import { addLayer, keepRecord } from "./step-record.ts";

/** COPY and ADD: the files are streamed into a layer. */
export async function solveCopy(step: CopyStep, context: SolveContext): Promise<SolvedRootfs> {
  const { store, work, signal } = context.access;
  await using keyed = await keyCopy(step, context);
  const { base } = keyed;
  return await reportStep(step, context, async (report) => {
    const found = await lookUp(step, keyed.keys(), context);
    if (found.record !== undefined) {
      const record = takeHit(found, { step, report }, context);
      return addLayer(base, { step, record }, context);
    }
    const selection = await keyed.select();
    const baseLayers = step.link
      ? []
      : await loadUpperLayers({
          layers: base.layers,
          settle: (layers) => work.settleDestination({ selection, layers }, { signal }),
          onlyIndexes: true,
        });
    const { keys } = found;
    const record = await runOnce({ step, keys, report }, context, async () => {
      const { layer } = await storeWrittenLayer(store, (layersDirectory) =>
        work.writeCopyLayer(
          { selection, base: baseLayers, layersDirectory, mtime: context.epochSeconds },
          { signal },
        ),
      );
      return keepRecord(store, layer, keys);
    });
    return addLayer(base, { step, record }, context);
  });
}
