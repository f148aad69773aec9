import { makeWorkdirKey } from "../cache/step-key.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { isPlainOwner } from "../oci/is-plain-owner.ts";
import type { WorkdirStep } from "../plan/plan.ts";
import type { Layer } from "../rootfs/layer.ts";
import { resolveOwnerIn } from "../rootfs/resolve-owner.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { loadLayersOfPaths, loadUserLayers } from "./load-upper-layers.ts";
import type { KeyedStep } from "./look-up.ts";
import { runOnce } from "./run-once.ts";
import { type MakeResult, solveKeyed } from "./solve-keyed.ts";
import { asRootfs, type KeyContext, type SolveContext } from "./solve-plan.ts";
import type { SolvedRootfs } from "./solved.ts";
import { keepRecord } from "./step-record.ts";

export async function keyWorkdir(step: WorkdirStep, context: KeyContext): Promise<KeyedStep> {
  const base = asRootfs(await context.solve(step.base));
  return { base, keys: () => [makeWorkdirKey(step, () => base.recordId, context.epochSeconds)] };
}

/** WORKDIR: makes the directory that is missing, owned by the USER in force. */
export async function solveWorkdir(step: WorkdirStep, context: SolveContext): Promise<SolvedRootfs> {
  const keyed = await keyWorkdir(step, context);
  const { store, work } = context.access;
  const make: MakeResult = async (missing) => {
    const { layers, userLayers } = await loadWorkdirInputs(step, keyed.base, context.access);
    const owner = step.user === "" ? undefined : resolveOwnerIn(step.user, userLayers);
    const mtime = context.epochSeconds ?? Math.floor(Date.now() / 1000);
    return runOnce(missing, context, async () => {
      const { layer } = await storeWrittenLayer(store, (layersDirectory) =>
        work.makeWorkdirLayer({ base: layers, path: step.path, owner, layersDirectory, mtime }),
      );
      return keepRecord(store, layer, missing);
    });
  };
  return solveKeyed(step, keyed, { make, context });
}

/** The layers that say what is at the path, of which only the indexes are there for certain, and those that say who the USER is. */
export async function loadWorkdirInputs(
  { path, user }: WorkdirStep,
  { layers }: SolvedRootfs,
  access: ImageAccess,
): Promise<{ readonly layers: readonly Layer[]; readonly userLayers: readonly Layer[] }> {
  return {
    layers: await loadLayersOfPaths({ layers, paths: [path], onlyEntries: true }, access),
    userLayers: isPlainOwner(user) ? [] : await loadUserLayers(layers, access),
  };
}
