import { makeRunKey, type StepKey } from "../cache/step-key.ts";
import type { RunStep } from "../plan/plan.ts";
import { digestBindSource } from "./bind-source.ts";
import type { KeyedStep } from "./look-up.ts";
import { asRootfs, type KeyContext } from "./solve-plan.ts";
import type { SolvedRootfs } from "./solved.ts";

/**
 * What a RUN may be found by: its definition over the records of its inputs where all have one, then with the content of
 * its bind mounts in place of their sources' records.
 */
export async function keyRun(step: RunStep, context: KeyContext): Promise<KeyedStep> {
  const froms = step.mounts.flatMap((mount) =>
    "from" in mount && mount.from !== undefined ? [mount.from] : [],
  );
  const [solvedBase] = await Promise.all([context.solve(step.base), ...froms.map((id) => context.solve(id))]);
  const base = asRootfs(solvedBase);
  return { base, keys: () => listKeys(step, base, context) };
}

async function* listKeys(step: RunStep, base: SolvedRootfs, context: KeyContext): AsyncGenerator<StepKey> {
  const inputs = new Map([[step.base, base.recordId]]);
  let allHaveRecords = true;
  for (const mount of step.mounts) {
    if (!("from" in mount) || mount.from === undefined) continue;
    const solved = await context.solve(mount.from);
    if (solved.kind === "rootfs") inputs.set(mount.from, solved.recordId);
    else if (mount.type === "bind") allHaveRecords = false;
  }
  const recordId = (id: number) => inputs.get(id) ?? "";
  if (allHaveRecords) yield makeRunKey(step, recordId);
  if (!step.mounts.some(({ type }) => type === "bind")) return;
  yield makeRunKey(
    step,
    recordId,
    await Promise.all(
      step.mounts.map((mount) => (mount.type === "bind" ? digestBindSource(mount, context) : undefined)),
    ),
  );
}
