import { isPlainOwner } from "../oci/is-plain-owner.ts";
import type { Plan, Step, StepId } from "../plan/plan.ts";

/**
 * The sources of root file systems whose files somebody reads: commands, COPYs from there, mounts, names of users that are looked up, and
 * with `readsOutputs` what comes out. Of all others it is enough to know what is where.
 */
export function findReadSources(
  { steps, outputs }: Pick<Plan, "steps" | "outputs">,
  { readsOutputs = false }: { readonly readsOutputs?: boolean } = {},
): ReadonlySet<StepId> {
  const sourceOf: StepId[] = [];
  // What a step stands on comes before it.
  for (const step of steps) sourceOf[step.id] = step.kind === "source" ? step.id : sourceOf[step.base]!;
  const read = steps.flatMap(listReadTrees);
  if (readsOutputs) read.push(...outputs.map(({ rootfs }) => rootfs));
  return new Set(read.map((id) => sourceOf[id]!));
}

/** The steps into whose files a step looks. */
function listReadTrees(step: Step): readonly StepId[] {
  switch (step.kind) {
    case "source":
      return [];
    case "workdir":
      return isPlainOwner(step.user) ? [] : [step.base];
    case "copy": {
      const from = step.sources.flatMap((source) => (source.kind === "inline" ? [] : [source.from]));
      return isPlainOwner(step.chown ?? "") ? from : [...from, step.base];
    }
    case "run": {
      const from = step.mounts.flatMap((mount) =>
        "from" in mount && mount.from !== undefined ? [mount.from] : [],
      );
      return [step.base, ...from];
    }
  }
}
