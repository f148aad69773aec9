import type { Instruction } from "../dockerfile/instruction.ts";
import { lowerInstructions, lowerTrigger } from "../dockerfile/lower-instructions.ts";
import type { SyntaxTree } from "../dockerfile/syntax-tree.ts";
import { attachSpan } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { formatPlatform, normalizePlatform, type Platform } from "../oci/platform.ts";
import { applyInstruction } from "./apply-instruction.ts";
import { evaluateGlobalArgs, proxyEnvironment, SPECIAL_ARGS } from "./global-args.ts";
import { makeContextLookup } from "./named-context.ts";
import type { Epoch, ImageBase, ImageNeed, Plan, PlanOptions, PlanOutput, PlanWarning } from "./plan.ts";
import {
  addContext,
  addImage,
  addScratch,
  type BaseLookup,
  fullName,
  makeBaseLookup,
  type PlanContext,
} from "./plan-context.ts";
import { resolveEpoch } from "./resolve-epoch.ts";
import { collectReachable, makeStageGraph, type StageGraph, type StageNode } from "./stage-graph.ts";
import {
  emptyImage,
  finishConfig,
  makeCopyBudget,
  type StageState,
  startFromImage,
  startFromStage,
} from "./stage-state.ts";
import { makeStepList } from "./step-list.ts";
import { nameStep } from "./step-name.ts";

/**
 * Turns a Dockerfile into a graph of steps and the configs of the images that come out; pure. Called to a fixpoint: it
 * answers with the images whose configs it needs, until `bases` has them all (ONBUILD triggers may need more).
 *
 * @throws BuildError with the place of the instruction, for whatever the frontend of BuildKit refuses as well.
 */
export function planBuild(
  syntax: SyntaxTree,
  options: PlanOptions,
  bases: readonly ImageBase[],
): Plan | { readonly needs: readonly ImageNeed[] } {
  const dockerfile = lowerInstructions(syntax);
  const steps = makeStepList();
  const lookup = makeBaseLookup(bases);
  const findContext = makeContextLookup(options.namedContexts);
  const needs: ImageNeed[] = [];
  const outputs: PlanOutput[] = [];
  const built = new Set<number>();
  let epoch: Epoch | undefined;
  const budget = makeCopyBudget();
  const usedArgs = new Set(dockerfile.globalArgs.flatMap(({ args }) => args.map(({ name }) => name)));

  for (const target of options.platforms.map(normalizePlatform)) {
    const globalArgs = evaluateGlobalArgs(dockerfile, options, target);
    for (const name of globalArgs.keys()) usedArgs.add(name);
    epoch ??= resolveEpoch({ dockerfile, globalArgs, options, findContext });
    const graph = makeStageGraph({ dockerfile, globalArgs, options, findContext });
    const { reachable, missing } = resolveBases(graph, { lookup, target });
    for (const { index } of reachable) built.add(index);
    needs.push(...missing);
    if (needs.length > 0) continue;
    const context: PlanContext = {
      options,
      target,
      escape: dockerfile.escape,
      globalArgs,
      proxyEnv: proxyEnvironment(options.buildArgs),
      steps,
      bases: lookup,
      states: new Map(),
      stageCount: graph.nodes.length + (hasOutsideSource(graph) ? 1 : 0),
      usedArgs,
      budget,
    };
    for (const node of graph.nodes)
      if (reachable.has(node)) context.states.set(node, foldStage(context, node));
    outputs.push(makeOutput(context, graph.target));
  }
  if (needs.length > 0) return { needs: dropRepeated(needs) };
  return {
    steps: steps.steps,
    outputs,
    leftOut: dockerfile.stages.flatMap(({ name, span }, i) =>
      built.has(i) ? [] : [{ name: name ?? String(i), span }],
    ),
    ...(epoch === undefined ? {} : { epoch }),
    warnings: [...warnAboutSyntax(syntax), ...warnAboutArgs(options, usedArgs)],
  };
}

/** BuildKit counts what is copied or mounted from outside as a stage when it decides whether to name stages. */
function hasOutsideSource(graph: StageGraph): boolean {
  return graph.nodes.some(({ commands }) =>
    commands.some(({ sources }) => sources.some((source) => source !== undefined && source.kind !== "stage")),
  );
}

function dropRepeated(needs: readonly ImageNeed[]): readonly ImageNeed[] {
  const byKey = new Map(
    needs.toReversed().map((need) => [`${formatPlatform(need.platform)} ${need.reference}`, need]),
  );
  return [...byKey.values()].reverse();
}

/** The image that a stage stands on, if it is one whose config counts. */
function baseImage(
  node: StageNode,
  target: Platform,
): { reference: string; platform: Platform; hint?: string } | undefined {
  const platform = node.platform ?? target;
  if (node.base.kind === "image") return { reference: node.base.reference, platform, hint: node.base.hint };
  if (node.base.kind !== "context" || node.base.context.kind !== "image") return undefined;
  return { reference: node.base.context.reference, platform };
}

/** Walks from the target; ONBUILD triggers of a base may add to the way. */
function resolveBases(
  graph: StageGraph,
  { lookup, target }: { lookup: BaseLookup; target: Platform },
): { reachable: ReadonlySet<StageNode>; missing: readonly ImageNeed[] } {
  const missing: ImageNeed[] = [];
  const reachable = collectReachable(graph.target, (node) => {
    const image = baseImage(node, target);
    const base = image && lookup(image.reference, image.platform);
    if (image !== undefined && base === undefined) missing.push({ ...image, span: node.stage.span });
    else addTriggers(graph, node, base);
  });
  return { reachable, missing };
}

/** Puts the triggers of what a stage stands on in front of its instructions. */
function addTriggers(graph: StageGraph, node: StageNode, base: ImageBase | undefined): void {
  if (node.isReplaced) return;
  const expressions =
    node.base.kind === "stage"
      ? onbuildExpressions(node.base.node.stage.instructions)
      : (base?.config.config?.OnBuild ?? []);
  const { span } = node.stage;
  try {
    const commands = expressions.map((expression) =>
      graph.resolveCommand(lowerTrigger(expression, span), true),
    );
    node.commands.unshift(...commands);
  } catch (error) {
    throw attachSpan(error, span);
  }
}

function onbuildExpressions(instructions: readonly Instruction[]): readonly string[] {
  return instructions.flatMap((instruction) =>
    instruction.kind === "onbuild" ? [instruction.expression] : [],
  );
}

function foldStage(context: PlanContext, node: StageNode): StageState {
  const state = startStage(context, node);
  if (node.isReplaced) return state;
  for (const command of node.commands) {
    try {
      applyInstruction(context, state, command);
    } catch (error) {
      throw attachSpan(error, command.instruction.span);
    }
  }
  return state;
}

const STEP_KINDS: ReadonlySet<Instruction["kind"]> = new Set(["run", "copy", "add", "workdir"]);

function startStage(context: PlanContext, node: StageNode): StageState {
  const own = node.commands.filter(({ instruction }) => STEP_KINDS.has(instruction.kind)).length;
  if (node.base.kind === "stage") {
    const state = startFromStage(node, context.states.get(node.base.node)!);
    state.stepTotal = own;
    return state;
  }
  const image = baseImage(node, context.target);
  if (image === undefined) {
    // BuildKit has `--platform` count for images only.
    const platform = context.target;
    const rootfs =
      node.base.kind === "context" ? addContext(context, node.base.context.name) : addScratch(context);
    const state = startFromImage(node, {
      image: emptyImage(platform),
      platform,
      rootfs,
      budget: context.budget,
    });
    state.stepTotal = own;
    return state;
  }
  const config = context.bases(image.reference, image.platform)!.config;
  const state = startFromImage(node, {
    image: config,
    platform: image.platform,
    rootfs: -1,
    budget: context.budget,
  });
  state.stepTotal = own + 1;
  const name = nameStep(context, state, { text: `FROM ${fullName(image.reference)}` });
  state.rootfs = addImage(context, image, { name, platform: image.platform, stage: node });
  return state;
}

function makeOutput(context: PlanContext, target: StageNode): PlanOutput {
  const state = context.states.get(target)!;
  const { options } = context;
  for (const [key, value] of Object.entries(options.labels ?? {})) state.labels.set(key, value);
  const config = finishConfig(state);
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
