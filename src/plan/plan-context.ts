import type { EscapeCharacter } from "../dockerfile/syntax-tree.ts";
import { BuildError } from "../errors/build-error.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";
import { formatImageReference, parseImageReference } from "../oci/reference.ts";
import type { ImageBase, PlanOptions, StepId } from "./plan.ts";
import type { StageNode, StageSource } from "./stage-graph.ts";
import type { CopyBudget, StageState } from "./stage-state.ts";
import type { StepList } from "./step-list.ts";

/** What folding the instructions of one platform's stages needs. */
export interface PlanContext {
  readonly options: PlanOptions;
  /** The platform that is built for. */
  readonly target: Platform;
  readonly escape: EscapeCharacter;
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly proxyEnv: readonly string[];
  readonly steps: StepList;
  readonly bases: BaseLookup;
  /** Stages that are folded already. */
  readonly states: Map<StageNode, StageState>;
  /** Stages in the file: a single one is not named in progress. */
  readonly stageCount: number;
  /** Names of build arguments that an ARG took up. */
  readonly usedArgs: Set<string>;
  readonly budget: CopyBudget;
}

export type BaseLookup = (reference: string, platform: Platform) => ImageBase | undefined;

/** Finds the configs that the caller has fetched. */
export function makeBaseLookup(bases: readonly ImageBase[]): BaseLookup {
  const key = (reference: string, platform: Platform) => `${formatPlatform(platform)} ${reference}`;
  const byKey = new Map(bases.map((base) => [key(base.reference, base.platform), base]));
  return (reference, platform) => byKey.get(key(reference, platform));
}

/**
 * The step that gives the files of a source, of which a COPY or a mount takes some.
 *
 * @throws BuildError `stage-unknown` for a stage that comes later: it cannot be there yet.
 */
export function sourceStep(
  context: PlanContext,
  source: StageSource,
  user: { verb: string; stage: StageNode },
): StepId {
  switch (source.kind) {
    case "stage": {
      const state = context.states.get(source.node);
      if (state !== undefined) return state.rootfs;
      const { title } = source.node;
      throw new BuildError(
        "stage-unknown",
        `Cannot ${user.verb} stage "${title}": it needs to be defined before current stage "${user.stage.title}"`,
        { hint: `Move stage "${title}" above stage "${user.stage.title}"` },
      );
    }
    case "scratch":
      return addSource(context, { kind: "scratch" }, { name: "[internal] scratch" });
    case "image":
      return addImage(context, source, {
        name: `FROM ${fullName(source.reference)}`,
        platform: context.target,
      });
    case "context":
      if (source.context.kind === "files") return addContext(context, source.context.name);
      return addImage(
        context,
        { reference: source.context.reference },
        { name: `[context ${source.context.name}] ${source.context.reference}`, platform: context.target },
      );
  }
}

/** The build context's step, or a named context's. */
export function addContext(context: PlanContext, name: string): StepId {
  const title = name === "context" ? "[internal] load build context" : `[context ${name}] load from client`;
  return addSource(context, { kind: "context", name }, { name: title });
}

export function addImage(
  context: PlanContext,
  { reference, hint }: { readonly reference: string; readonly hint?: string },
  step: { readonly name: string; readonly platform: Platform; readonly stage?: StageNode },
): StepId {
  return context.steps.add({
    kind: "source",
    source: { kind: "image", reference, ...(hint === undefined ? {} : { hint }) },
    name: step.name,
    stage: step.stage?.label ?? "",
    platform: step.platform,
    span: step.stage?.stage.span,
  });
}

function addSource(
  context: PlanContext,
  source: { readonly kind: "scratch" } | { readonly kind: "context"; readonly name: string },
  { name }: { readonly name: string },
): StepId {
  return context.steps.add({ kind: "source", source, name, stage: "", platform: context.target });
}

/** The step of `scratch`. */
export function addScratch(context: PlanContext): StepId {
  return addSource(context, { kind: "scratch" }, { name: "[internal] scratch" });
}

/** A reference in full, `docker.io/library/alpine:latest`; as it is when it is none (an image id, an OCI layout). */
export function fullName(reference: string): string {
  try {
    return formatImageReference(parseImageReference(reference));
  } catch (error) {
    if (error instanceof BuildError) return reference;
    throw error;
  }
}

/** Whether `--no-cache` or `--no-cache-filter` meets a stage. */
export function ignoresCache({ options }: PlanContext, { stage }: StageNode): boolean {
  if (options.noCache) return true;
  return (options.noCacheFilter ?? []).some((name) => name.trim().toLowerCase() === stage.name);
}
