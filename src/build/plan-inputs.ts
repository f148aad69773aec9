import type { PlanOptions } from "../plan/plan.ts";
import type { BuildOptions } from "./build-options.ts";
import type { BuildInputs } from "./open-inputs.ts";
import { planWithEpoch } from "./plan-with-epoch.ts";
import { type ResolvedPlan, resolvePlan } from "./resolve-plan.ts";

/** Plans a build whose inputs are open. Throws as `planWithEpoch`. */
export function planInputs(
  { session, syntax, remotes, planOptions }: BuildInputs,
  { pull, context, buildContexts }: BuildOptions,
): Promise<ResolvedPlan & { readonly epochSeconds?: number }> {
  const resolve = (plan: PlanOptions) => resolvePlan(session, syntax, { plan, pull });
  return planWithEpoch(resolve, planOptions, {
    openRemotes: () => remotes.open(),
    contextOf: (name) => (name === "context" ? context : buildContexts?.[name]),
    emit: session.emit,
    signal: session.signal,
  });
}
