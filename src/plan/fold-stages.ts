import type { Dockerfile, Instruction } from "../dockerfile/instruction.ts";
import { attachSpan } from "../errors/build-error.ts";
import type { Platform } from "../oci/platform.ts";
import { applyInstruction } from "./apply-instruction.ts";
import { evaluateGlobalArgs, proxyEnvironment } from "./global-args.ts";
import { makeContextLookup } from "./named-context.ts";
import type { Epoch, ImageNeed, PlanOptions } from "./plan.ts";
import {
  addContext,
  addImage,
  addScratch,
  type BaseLookup,
  fullName,
  type PlanContext,
} from "./plan-context.ts";
import { baseImage, resolveBases } from "./resolve-bases.ts";
import { resolveEpoch } from "./resolve-epoch.ts";
import { makeStageGraph, type StageGraph, type StageNode } from "./stage-graph.ts";
import {
  type CopyBudget,
  emptyImage,
  type StageState,
  startFromImage,
  startFromStage,
} from "./stage-state.ts";
import type { StepList } from "./step-list.ts";
import { nameStep } from "./step-name.ts";

export interface FoldInput {
  readonly dockerfile: Dockerfile;
  readonly options: PlanOptions;
  readonly target: Platform;
  readonly lookup: BaseLookup;
  readonly steps: StepList;
  readonly budget: CopyBudget;
}

/** The stages of one platform. */
export interface FoldedStages {
  readonly graph: StageGraph;
  readonly reachable: ReadonlySet<StageNode>;
  readonly epoch: Epoch | undefined;
  /** The images whose configs are missing. */
  readonly missing: readonly ImageNeed[];
  /** With the states of all reachable stages; absent while images are missing. */
  readonly context: PlanContext | undefined;
}

/** Resolves the stages for one platform and folds those that the target needs. Throws BuildError. */
export function foldStages(input: FoldInput): FoldedStages {
  const { dockerfile, options, target, lookup, steps, budget } = input;
  const findContext = makeContextLookup(options.namedContexts);
  const globalArgs = evaluateGlobalArgs(dockerfile, options, target);
  const epoch = resolveEpoch({ dockerfile, globalArgs, options, findContext });
  const graph = makeStageGraph({ dockerfile, globalArgs, options, findContext });
  const { reachable, missing } = resolveBases(graph, { lookup, target });
  if (missing.length > 0) return { graph, reachable, epoch, missing, context: undefined };
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
    usedArgs: new Set(),
    budget,
  };
  for (const node of graph.nodes) {
    if (reachable.has(node)) context.states.set(node, foldStage(context, node));
  }
  return { graph, reachable, epoch, missing, context };
}

/** BuildKit counts what is copied or mounted from outside as a stage when it decides whether to name stages. */
function hasOutsideSource(graph: StageGraph): boolean {
  return graph.nodes.some(({ commands }) =>
    commands.some(({ sources }) => sources.some((source) => source !== undefined && source.kind !== "stage")),
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
