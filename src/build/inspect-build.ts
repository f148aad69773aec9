import type { LintWarning } from "../dockerfile/lint-dockerfile.ts";
import { listTargets, type Target } from "../dockerfile/list-targets.ts";
import { lowerInstructions } from "../dockerfile/lower-instructions.ts";
import { attachSpan, BuildError, type SourceSpan } from "../errors/build-error.ts";
import { type Outline, outlineBuild } from "../plan/outline-build.ts";
import type { Plan, Step } from "../plan/plan.ts";
import type { BuildOptions } from "./build-options.ts";
import { lintAllStages } from "./lint-build.ts";
import { type BuildInputs, openInputs } from "./open-inputs.ts";
import { makeImageFinder, resolveNeeds, resolvePlan } from "./resolve-plan.ts";

interface Inspected {
  readonly dockerfile: BuildInputs["dockerfile"];
}

/** What the checks found. */
export interface CheckedBuild extends Inspected {
  /** By line. */
  readonly warnings: readonly LintWarning[];
  /** Why it could not be built, whatever the checks say. */
  readonly error?: BuildError;
}

/**
 * Runs the build checks over all stages, and plans the build. Nothing is built.
 *
 * @throws BuildError where the Dockerfile cannot be read or parsed.
 */
export async function checkBuild(options: BuildOptions): Promise<CheckedBuild> {
  await using inputs = await openInputs(options);
  const { dockerfile, syntax, planOptions, session } = inputs;
  let warnings: readonly LintWarning[] = [];
  try {
    ({ warnings } = await lintAllStages(inputs, options));
    const { plan, findImage } = await resolvePlan(session, syntax, {
      plan: planOptions,
      pull: options.pull,
    });
    for (const step of plan.steps) {
      // An image whose name is near a stage's may be none.
      const isSuspect =
        step.kind === "source" && step.source.kind === "image" && step.source.hint !== undefined;
      if (!isSuspect) continue;
      await findImage(step).catch((error) => {
        throw attachSpan(error, placeOf(step, plan));
      });
    }
    return { dockerfile, warnings };
  } catch (error) {
    if (!(error instanceof BuildError) || session.signal.aborted) throw error;
    // That a base is out of reach is no fault of the Dockerfile.
    return { dockerfile, warnings, ...(FAULTS.has(error.code) && { error }) };
  }
}

/** The instruction that takes files from a source. */
function placeOf({ id, span }: Step, { steps }: Plan): SourceSpan {
  const user = steps.find((step) => {
    if (step.kind === "copy") return step.sources.some((source) => "from" in source && source.from === id);
    return step.kind === "run" && step.mounts.some((mount) => "from" in mount && mount.from === id);
  });
  return (span ?? user?.span)!;
}

const FAULTS = new Set<BuildError["code"]>([
  "dockerfile-syntax",
  "input-limit",
  "option-invalid",
  "stage-unknown",
  "unsupported",
  "variable-invalid",
]);

/** The stages that can be built: `--call targets`. Throws as `checkBuild`. */
export async function readTargets(
  options: BuildOptions,
): Promise<Inspected & { readonly targets: readonly Target[] }> {
  await using inputs = await openInputs(options);
  return { dockerfile: inputs.dockerfile, targets: listTargets(lowerInstructions(inputs.syntax)) };
}

/** What a build of the target takes: `--call outline`. Throws as planning a build does. */
export async function readOutline(options: BuildOptions): Promise<Inspected & { readonly outline: Outline }> {
  await using inputs = await openInputs(options);
  const { dockerfile, syntax, planOptions, session } = inputs;
  const plan = { ...planOptions, target: planOptions.targets?.[0] ?? planOptions.target };
  const { result: outline } = await resolveNeeds<Outline>(
    (bases) => outlineBuild(syntax, plan, bases),
    makeImageFinder(session, options),
  );
  return { dockerfile, outline };
}
