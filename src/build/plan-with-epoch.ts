import type { PlanOptions } from "../plan/plan.ts";
import { type EpochSources, findEpoch } from "./find-epoch.ts";
import type { ResolvedPlan } from "./resolve-plan.ts";

/**
 * Plans with SOURCE_DATE_EPOCH as a number wherever it comes from, so that the Dockerfile's ARG has the number, too; a context that has
 * no time leaves it empty.
 *
 * @throws BuildError as `resolvePlan` and `findEpoch`.
 */
export async function planWithEpoch<Resolved extends ResolvedPlan>(
  resolve: (options: PlanOptions) => Promise<Resolved>,
  options: PlanOptions,
  sources: EpochSources,
): Promise<Resolved & { readonly epochSeconds?: number }> {
  const resolved = await resolve(options);
  const { epoch } = resolved.plan;
  if (epoch === undefined) return resolved;
  const epochSeconds = await findEpoch(epoch, sources);
  const time = epochSeconds === undefined ? {} : { epochSeconds };
  if (epoch.kind === "time") return { ...resolved, ...time };
  const value = epochSeconds === undefined ? "" : String(epochSeconds);
  const buildArgs = { ...options.buildArgs, SOURCE_DATE_EPOCH: value };
  return { ...(await resolve({ ...options, buildArgs })), ...time };
}
