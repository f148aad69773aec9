import { type PredictedStep, predictPlan } from "../solve/predict-plan.ts";
import type { BuildOptions } from "./build-options.ts";
import { allContexts, openInputs } from "./open-inputs.ts";
import { planInputs } from "./plan-inputs.ts";
import { useCaches } from "./use-caches.ts";

/**
 * Says for each step of a build whether it would come from the cache, without building: images are resolved, URLs and repositories asked,
 * the context's files hashed.
 *
 * @throws BuildError as a build does up to its first RUN.
 */
export async function predictBuild(options: BuildOptions): Promise<readonly PredictedStep[]> {
  await using inputs = await openInputs(options);
  const { session, remotes } = inputs;
  await using caches = await useCaches(session, { from: options.cacheFrom });
  const { plan, findImage, epochSeconds } = await planInputs(inputs, options);
  return await predictPlan(plan, {
    access: session,
    cacheTtlMs: options.cacheTtlMs,
    contexts: allContexts(inputs),
    findImage,
    openRemotes: () => remotes.open(),
    epochSeconds,
    imports: await caches.imports,
  });
}
