import { lowerInstructions } from "../dockerfile/lower-instructions.ts";
import type { SyntaxTree } from "../dockerfile/syntax-tree.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { formatPlatform, normalizePlatform, type Platform } from "../oci/platform.ts";
import { foldStages } from "./fold-stages.ts";
import { SPECIAL_ARGS } from "./global-args.ts";
import type { Epoch, ImageBase, ImageNeed, Plan, PlanOptions, PlanOutput, PlanWarning } from "./plan.ts";
import { makeBaseLookup, type PlanContext } from "./plan-context.ts";
import type { StageNode } from "./stage-graph.ts";
import { finishConfig, makeCopyBudget } from "./stage-state.ts";
import { makeStepList } from "./step-list.ts";

/**
 * Turns a Dockerfile into a graph of steps and the configs of the images that come out; pure. Called to a fixpoint: it
 * answers with the images whose configs it needs, until `bases` has them all (ONBUILD triggers may need more).
 *
 * @throws BuildError with the place of the instruction, for whatever the frontend of BuildKit refuses as well.
 */
export function planBuild(
  syntax: SyntaxTree,
  allOptions: PlanOptions,
  bases: readonly ImageBase[],
): Plan | { readonly needs: readonly ImageNeed[] } {
  const dockerfile = lowerInstructions(syntax);
  const steps = makeStepList();
  const lookup = makeBaseLookup(bases);
  const budget = makeCopyBudget();
  const needs: ImageNeed[] = [];
  const outputs: PlanOutput[] = [];
  const built = new Set<number>();
  const usedArgs = new Set(dockerfile.globalArgs.flatMap(({ args }) => args.map(({ name }) => name)));
  let epoch: Epoch | undefined;

  for (const { target, options } of listVariants(allOptions)) {
    const folded = foldStages({ dockerfile, options, target, lookup, steps, budget });
    needs.push(...folded.missing);
    epoch ??= folded.epoch;
    for (const { index } of folded.reachable) built.add(index);
    if (folded.context === undefined) continue;
    for (const name of folded.context.globalArgs.keys()) usedArgs.add(name);
    for (const name of folded.context.usedArgs) usedArgs.add(name);
    outputs.push(makeOutput(folded.context, folded.graph.target));
  }
  if (needs.length > 0) return { needs: dropRepeated(needs) };
  return {
    steps: steps.steps,
    outputs,
    leftOut: dockerfile.stages.flatMap(({ name, span }, i) =>
      built.has(i) ? [] : [{ name: name ?? String(i), span }],
    ),
    ...(epoch === undefined ? {} : { epoch }),
    warnings: [...warnAboutSyntax(syntax), ...warnAboutArgs(allOptions, usedArgs)],
  };
}

/** Each target on each platform; the targets in their order, without repetitions. */
function listVariants(options: PlanOptions): { readonly target: Platform; readonly options: PlanOptions }[] {
  const targets =
    options.targets === undefined || options.targets.length === 0 ? [options.target] : options.targets;
  const names = [...new Map(targets.map((name) => [name?.toLowerCase(), name])).values()];
  return names.flatMap((name) =>
    options.platforms.map((platform) => ({
      target: normalizePlatform(platform),
      options: { ...options, target: name },
    })),
  );
}

function dropRepeated(needs: readonly ImageNeed[]): readonly ImageNeed[] {
  const byKey = new Map(
    needs.toReversed().map((need) => [`${formatPlatform(need.platform)} ${need.reference}`, need]),
  );
  return [...byKey.values()].reverse();
}

function makeOutput(context: PlanContext, target: StageNode): PlanOutput {
  const state = context.states.get(target)!;
  const { options } = context;
  for (const [key, value] of Object.entries(options.labels ?? {})) state.labels.set(key, value);
  for (const key of options.unsetLabels ?? []) state.labels.delete(key);
  const config = finishConfig(state, { withoutEnv: options.unsetEnv });
  return {
    target: target.label,
    platform: context.target,
    rootfs: state.rootfs,
    config: options.implicitPlatform ? config : withPlatform(config, context.target),
  };
}

/** The platform that was asked for is what the image says, whatever FROM --platform says. */
function withPlatform(config: ImageConfig, platform: Platform): ImageConfig {
  const isSame = config.os === platform.os && config.architecture === platform.architecture;
  const { variant: oldVariant, "os.version": oldVersion, ...rest } = config;
  const variant = platform.variant ?? (isSame ? oldVariant : undefined);
  const version = platform["os.version"] ?? (isSame ? oldVersion : undefined);
  return {
    ...rest,
    os: platform.os,
    architecture: platform.architecture,
    ...(variant === undefined ? {} : { variant }),
    ...(version === undefined ? {} : { "os.version": version }),
  };
}

const BUILT_IN = /^(?:docker\.io\/)?docker\/dockerfile(?:-upstream)?(?:[:@]|$)/;

function warnAboutSyntax(syntax: SyntaxTree): readonly PlanWarning[] {
  const directive = syntax.directives.find(({ key }) => key === "syntax");
  const frontend = directive?.value.split(/\s/, 1)[0];
  if (directive === undefined || frontend === undefined || BUILT_IN.test(frontend)) return [];
  return [
    {
      message: `The built-in Dockerfile language is used, not the frontend "${frontend}" that the syntax directive asks for`,
      span: directive.span,
    },
  ];
}

function warnAboutArgs(options: PlanOptions, used: ReadonlySet<string>): readonly PlanWarning[] {
  return Object.keys(options.buildArgs ?? {}).flatMap((name) => {
    if (used.has(name) || SPECIAL_ARGS.has(name)) return [];
    const hint = hintNearest(name, used);
    return [
      { message: `Build argument "${name}" is not used: no ARG declares it${hint ? `. ${hint}` : ""}` },
    ];
  });
}
