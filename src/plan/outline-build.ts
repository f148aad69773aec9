import { expand } from "../dockerfile/expand-word.ts";
import type { Dockerfile } from "../dockerfile/instruction.ts";
import { lowerInstructions } from "../dockerfile/lower-instructions.ts";
import type { SyntaxTree } from "../dockerfile/syntax-tree.ts";
import type { SourceSpan } from "../errors/build-error.ts";
import { normalizePlatform } from "../oci/platform.ts";
import { type FoldedStages, foldStages } from "./fold-stages.ts";
import type { ImageBase, ImageNeed, PlanOptions, RunMount } from "./plan.ts";
import { makeBaseLookup } from "./plan-context.ts";
import { makeCopyBudget } from "./stage-state.ts";
import { makeStepList } from "./step-list.ts";

/** What a build of a target takes: `--call outline`, as BuildKit's subrequest `frontend.outline` tells it. */
export interface Outline {
  /** The target's name; absent where it has none. */
  readonly name?: string;
  readonly description?: string;
  /** ARGs that count for the target, by line. */
  readonly args: readonly OutlineArg[];
  readonly secrets: readonly OutlineSecret[];
  readonly ssh: readonly OutlineSecret[];
}

export interface OutlineArg {
  readonly name: string;
  /** The value that the build would use; empty where there is none. */
  readonly value: string;
  readonly description?: string;
  readonly span: SourceSpan;
}

export interface OutlineSecret {
  readonly id: string;
  readonly required: boolean;
  readonly span?: SourceSpan;
}

/**
 * Outlines the build of `options.target` for the first platform. Like `planBuild`, it may answer with the images whose
 * configs it needs.
 *
 * @throws BuildError as `planBuild`.
 */
export function outlineBuild(
  syntax: SyntaxTree,
  options: PlanOptions,
  bases: readonly ImageBase[],
): Outline | { readonly needs: readonly ImageNeed[] } {
  const dockerfile = lowerInstructions(syntax);
  const target = normalizePlatform(options.platforms[0] ?? options.buildPlatform);
  const steps = makeStepList();
  const lookup = makeBaseLookup(bases);
  const folded = foldStages({ dockerfile, options, target, lookup, steps, budget: makeCopyBudget() });
  if (folded.context === undefined) return { needs: folded.missing };
  const { name, description } = folded.graph.target.stage;
  const mounts = steps.steps.flatMap((step) =>
    step.kind === "run" ? step.mounts.map((mount) => ({ mount, span: step.span })) : [],
  );
  return {
    name,
    description,
    args: sortByLine([...stageArgs(folded), ...usedGlobalArgs(dockerfile, options, folded)]),
    secrets: collect("secret", mounts),
    ssh: collect("ssh", mounts),
  };
}

function sortByLine(args: readonly OutlineArg[]): readonly OutlineArg[] {
  const byName = new Map<string, OutlineArg>();
  for (const arg of args) if (!byName.has(arg.name)) byName.set(arg.name, arg);
  return [...byName.values()].sort((a, b) => a.span.startLine - b.span.startLine);
}

/** The ARGs of the stages that are built, the target's first. One that only takes over a global ARG is that one. */
function stageArgs({ reachable, context }: FoldedStages): readonly OutlineArg[] {
  return [...reachable].flatMap((node) => {
    const state = context!.states.get(node)!;
    const own = node.isReplaced ? [] : node.commands;
    return own.flatMap(({ instruction }) => {
      if (instruction.kind !== "arg") return [];
      return instruction.args.flatMap(({ name, value, description }): OutlineArg[] => {
        const isGiven = Object.hasOwn(context!.options.buildArgs ?? {}, name);
        if (value === undefined && !isGiven && context!.globalArgs.has(name)) return [];
        return [{ name, value: state.args.get(name) ?? "", description, span: instruction.span }];
      });
    });
  });
}

/** The global ARGs that FROM and the stages use, and those that these are made of. */
function usedGlobalArgs(
  dockerfile: Dockerfile,
  options: PlanOptions,
  folded: FoldedStages,
): readonly OutlineArg[] {
  const { reachable, context } = folded;
  const used = new Set<string>();
  const use = (word: string | undefined) => {
    if (word === undefined) return;
    for (const name of expand(word, context!.globalArgs, { escape: dockerfile.escape }).matched)
      used.add(name);
  };
  for (const node of reachable) {
    use(node.stage.base);
    use(node.stage.platform);
    for (const { instruction } of node.commands) {
      if (instruction.kind !== "arg") continue;
      for (const { name, value } of instruction.args) if (value === undefined) used.add(name);
    }
  }
  const definitions = dockerfile.globalArgs.flatMap(({ args, span }) =>
    args.map((arg) => ({ ...arg, span })),
  );
  return definitions.toReversed().flatMap(({ name, value, description, span }): OutlineArg[] => {
    if (!used.has(name)) return [];
    if (!Object.hasOwn(options.buildArgs ?? {}, name)) use(value);
    return [{ name, value: context!.globalArgs.get(name) ?? "", description, span }];
  });
}

function collect(
  type: "secret" | "ssh",
  mounts: readonly { readonly mount: RunMount; readonly span?: SourceSpan }[],
): readonly OutlineSecret[] {
  const byId = new Map<string, OutlineSecret>();
  for (const { mount, span } of mounts) {
    if (mount.type !== type) continue;
    const required = mount.required || (byId.get(mount.id)?.required ?? false);
    byId.set(mount.id, { id: mount.id, required, span: byId.get(mount.id)?.span ?? span });
  }
  return [...byId.values()].sort((a, b) => (a.span?.startLine ?? 0) - (b.span?.startLine ?? 0));
}
