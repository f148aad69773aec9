import { makeWorkdirKey } from "../cache/step-key.ts";
import type { WorkdirStep } from "../plan/plan.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { openUnionTree } from "../rootfs/union-tree.ts";
import { resolveUser } from "../sandbox/resolve-user.ts";
import { loadLayersOfPaths, loadUserLayers } from "./load-upper-layers.ts";
import { type KeyedStep, lookUp, takeHit } from "./look-up.ts";
import { reportStep } from "./report-step.ts";
import { runOnce } from "./run-once.ts";
import { asRootfs, type KeyContext, type SolveContext } from "./solve-plan.ts";
import type { SolvedRootfs } from "./solved.ts";
import { addLayer, keepRecord } from "./step-record.ts";

export async function keyWorkdir(step: WorkdirStep, context: KeyContext): Promise<KeyedStep> {
  const base = asRootfs(await context.solve(step.base));
  return { base, keys: () => [makeWorkdirKey(step, () => base.recordId, context.epochSeconds)] };
}

/** WORKDIR: makes the directory that is missing, owned by the USER in force. */
export async function solveWorkdir(step: WorkdirStep, context: SolveContext): Promise<SolvedRootfs> {
  const { base, keys: listKeys } = await keyWorkdir(step, context);
  const { store, work, signal } = context.access;
  return reportStep(step, context, async (report) => {
    const found = await lookUp(step, listKeys(), context);
    if (found.record !== undefined) {
      const record = takeHit(found, { step, report }, context);
      return addLayer(base, { step, record }, context);
    }
    const { keys } = found;
    const layers = await loadLayersOfPaths(
      { layers: base.layers, paths: [step.path], onlyEntries: true },
      context.access,
    );
    const { uid, gid } = await findOwner(base, step.user, context);
    const mtime = context.epochSeconds ?? Math.floor(Date.now() / 1000);
    const record = await runOnce({ step, keys, report }, context, async () => {
      const { layer } = await storeWrittenLayer(store, (layersDirectory) =>
        work.makeWorkdirLayer(
          { base: layers, path: step.path, uid, gid, layersDirectory, mtime },
          { signal },
        ),
      );
      return keepRecord(store, layer, keys);
    });
    return addLayer(base, { step, record }, context);
  });
}

async function findOwner({ layers }: SolvedRootfs, user: string, { access }: SolveContext) {
  if (user === "") return { uid: 0, gid: 0 };
  using tree = openUnionTree(await loadUserLayers(layers, access));
  return resolveUser(tree, user);
}
