import { expand } from "../dockerfile/expand-word.ts";
import type { Dockerfile, Instruction, Stage } from "../dockerfile/instruction.ts";
import { attachSpan, BuildError } from "../errors/build-error.ts";
import { hintNearest, makeSuggester, type Suggester, suggestNearest } from "../errors/suggest-nearest.ts";
import { type Platform, parsePlatform } from "../oci/platform.ts";
import { parseImageReference } from "../oci/reference.ts";
import type { ContextLookup, FoundContext } from "./named-context.ts";
import type { PlanOptions } from "./plan.ts";

/** A stage with what it stands on and what it takes from, all names resolved. */
export interface StageNode {
  /** As written, from 0. */
  readonly index: number;
  /** The name, or the number as text. */
  readonly label: string;
  /** As progress and errors show it: the name, or `stage-N`. */
  readonly title: string;
  readonly stage: Stage;
  /** Of `FROM --platform`. */
  readonly platform?: Platform;
  readonly base: StageSource;
  /** A named context has the stage's name and stands for it: none of its instructions count. */
  readonly isReplaced: boolean;
  /** What ONBUILD adds is put in front when the stage turns out to be needed. */
  readonly commands: Command[];
}

export type StageSource =
  | { readonly kind: "stage"; readonly node: StageNode }
  | { readonly kind: "scratch" }
  | { readonly kind: "image"; readonly reference: string; readonly hint?: string }
  | { readonly kind: "context"; readonly context: FoundContext };

/** An instruction with what its `--from` and its mounts' `from` mean, in their order; undefined where there is none. */
export interface Command {
  readonly instruction: Instruction;
  readonly sources: readonly (StageSource | undefined)[];
  readonly isTrigger: boolean;
}

export interface StageGraph {
  readonly nodes: readonly StageNode[];
  readonly target: StageNode;
  /** Resolves the names in an instruction that ONBUILD adds. Throws BuildError. */
  resolveCommand(instruction: Instruction, isTrigger: boolean): Command;
}

interface GraphInput {
  readonly dockerfile: Dockerfile;
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly options: PlanOptions;
  readonly findContext: ContextLookup;
}

interface Resolution extends GraphInput {
  readonly suggest: Suggester;
}

/**
 * Resolves every FROM and every `from`, as BuildKit does: FROM sees the stages before it, `from` the last of each name in
 * the whole file, wherever it stands. What is wrong with the order is an error only where a build needs it.
 *
 * @throws BuildError `dockerfile-syntax` or `stage-unknown` for what is wrong in any stage: a blank base, a number that no
 * stage has, a circle; `stage-unknown` for a target that does not exist.
 */
export function makeStageGraph(given: GraphInput): StageGraph {
  const input: Resolution = { ...given, suggest: makeSuggester() };
  const nodes: StageNode[] = [];
  const byName = new Map<string, StageNode>();
  for (const [index, stage] of input.dockerfile.stages.entries()) {
    try {
      const node = resolveStage(input, { index, stage, byName });
      nodes.push(node);
      if (stage.name !== undefined) byName.set(stage.name, node);
    } catch (error) {
      throw attachSpan(error, stage.span);
    }
  }
  const resolveCommand = (instruction: Instruction, isTrigger: boolean): Command => ({
    instruction,
    isTrigger,
    sources: namesIn(instruction).map((name) => {
      if (name === undefined) return undefined;
      const findByNumber = instruction.kind === "copy";
      return resolveFrom(input, { name, findByNumber, nodes, byName });
    }),
  });
  const target = findTarget(input.options.target, nodes, byName);
  for (const node of nodes) {
    for (const instruction of node.stage.instructions) {
      try {
        node.commands.push(resolveCommand(instruction, false));
      } catch (error) {
        throw attachSpan(error, instruction.span);
      }
    }
  }
  checkCircles(nodes);
  return { nodes, target, resolveCommand };
}

function resolveStage(
  { dockerfile, globalArgs, options, findContext, suggest }: Resolution,
  { index, stage, byName }: { index: number; stage: Stage; byName: ReadonlyMap<string, StageNode> },
): StageNode {
  const common = {
    index,
    stage,
    label: stage.name ?? String(index),
    title: stage.name ?? `stage-${index}`,
    commands: [],
  };
  const expanded = expand(stage.base, globalArgs, { escape: dockerfile.escape, suggest: suggestNearest });
  const base = expanded.result;
  if (base === "") {
    throw new BuildError(
      "dockerfile-syntax",
      `Cannot build from "${stage.base}": base name (${stage.base}) should not be blank`,
      {
        hint: hintUnset(expanded.unmatched, globalArgs),
      },
    );
  }
  const platform = resolvePlatform(stage, { dockerfile, globalArgs, options });
  const replacement = stage.name === undefined ? undefined : findContext(stage.name);
  if (replacement !== undefined) {
    return { ...common, platform, base: { kind: "context", context: replacement }, isReplaced: true };
  }
  const earlier = byName.get(base);
  if (earlier !== undefined)
    return { ...common, platform, base: { kind: "stage", node: earlier }, isReplaced: false };
  return {
    ...common,
    platform,
    base: resolveOutside(base, { findContext, suggest, stageNames: byName.keys() }),
    isReplaced: false,
  };
}

function hintUnset(
  unmatched: ReadonlySet<string>,
  globalArgs: ReadonlyMap<string, string>,
): string | undefined {
  const [name] = unmatched;
  if (name === undefined) return undefined;
  const nearest = suggestNearest(name, globalArgs.keys());
  if (nearest !== undefined) return `Did you mean "$${nearest}"?`;
  return `Give ${name} a value: an ARG with a default before the first FROM, or --build-arg ${name}=VALUE`;
}

function resolvePlatform(
  stage: Stage,
  { dockerfile, globalArgs, options }: Omit<GraphInput, "findContext">,
): Platform | undefined {
  if (stage.platform === undefined) return undefined;
  const expanded = expand(stage.platform, globalArgs, { escape: dockerfile.escape, suggest: suggestNearest });
  const hint = hintUnset(expanded.unmatched, globalArgs);
  if (expanded.result === "") {
    throw new BuildError(
      "dockerfile-syntax",
      `Cannot use "--platform=${stage.platform}": empty platform value from expression ${stage.platform}`,
      { hint },
    );
  }
  try {
    return parsePlatform(expanded.result, options.buildPlatform);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    throw new BuildError(
      "dockerfile-syntax",
      `Cannot use "--platform=${stage.platform}": failed to parse platform ${expanded.result}`,
      { hint: hint ?? error.hint, cause: error },
    );
  }
}

/** An image id: a config digest, or its hex digits. */
const IMAGE_ID = /^(?:sha256:)?[a-f0-9]{64}$/;

/** What no stage is: scratch, a named context or an image. */
function resolveOutside(
  name: string,
  given: { findContext: ContextLookup; suggest: Suggester; stageNames: Iterable<string> },
): StageSource {
  if (name === "scratch") return { kind: "scratch" };
  if (!IMAGE_ID.test(name)) parseImageReference(name);
  const context = given.findContext(name);
  if (context !== undefined) return { kind: "context", context };
  const nearest = given.suggest(name, given.stageNames);
  return { kind: "image", reference: name, hint: nearest && `Did you mean "${nearest}"?` };
}

interface FromName {
  readonly name: string;
  readonly findByNumber: boolean;
  readonly nodes: readonly StageNode[];
  readonly byName: ReadonlyMap<string, StageNode>;
}

function resolveFrom(
  { findContext, suggest }: Resolution,
  { name, findByNumber, nodes, byName }: FromName,
): StageSource {
  if (findByNumber && /^[+-]?\d+$/.test(name)) {
    const node = nodes[Number(name)];
    if (node !== undefined) return { kind: "stage", node };
    throw new BuildError("stage-unknown", `Cannot copy from stage "${name}": invalid stage index ${name}`, {
      hint: listStages(nodes),
    });
  }
  const node = byName.get(name.toLowerCase());
  if (node !== undefined) return { kind: "stage", node };
  return resolveOutside(name, { findContext, suggest, stageNames: byName.keys() });
}

function listStages(nodes: readonly StageNode[]): string {
  const shown = nodes
    .slice(0, 20)
    .map(({ index, stage }) => (stage.name === undefined ? `${index}` : `${index} (${stage.name})`));
  const more = nodes.length > shown.length ? ", ..." : "";
  return nodes.length === 1 ? `The only stage is ${shown[0]}` : `The stages are ${shown.join(", ")}${more}`;
}

/** The names that an instruction takes files from; undefined for a mount without `from`. */
function namesIn(instruction: Instruction): readonly (string | undefined)[] {
  switch (instruction.kind) {
    case "copy": {
      const { from } = instruction;
      if (from === undefined) return [];
      if (expand(from, {}).result !== from) {
        throw new BuildError(
          "dockerfile-syntax",
          `Cannot copy from "${from}": variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround`,
        );
      }
      return [from];
    }
    case "run":
      return instruction.mounts.map(({ from }) => from);
    default:
      return [];
  }
}

function findTarget(
  name: string | undefined,
  nodes: readonly StageNode[],
  byName: ReadonlyMap<string, StageNode>,
): StageNode {
  if (name === undefined || name === "") return nodes.at(-1)!;
  const node = byName.get(name.toLowerCase());
  if (node !== undefined) return node;
  const names = [...byName.keys()];
  throw new BuildError(
    "stage-unknown",
    `Cannot build target "${name}": target stage "${name}" could not be found`,
    {
      hint:
        hintNearest(name, names) ??
        (names.length === 0
          ? "No stage has a name"
          : `The named stages are ${names.slice(0, 20).join(", ")}`),
    },
  );
}

/** The stages that a stage takes files from, each with the command that does. FROM is no part of it: it looks back only. */
function dependencies(node: StageNode): readonly { node: StageNode; command: Command }[] {
  return node.commands.flatMap((command) =>
    command.sources.flatMap((source) => (source?.kind === "stage" ? [{ node: source.node, command }] : [])),
  );
}

/** Walks without recursion: a chain of stages may be as long as the file. */
function checkCircles(nodes: readonly StageNode[]): void {
  const visited = new Set<StageNode>();
  for (const root of nodes) {
    if (visited.has(root)) continue;
    visited.add(root);
    const onPath = new Set([root]);
    const path = [{ node: root, rest: [...dependencies(root)], via: undefined as Command | undefined }];
    while (path.length > 0) {
      const top = path.at(-1)!;
      const next = top.rest.pop();
      if (next === undefined) {
        onPath.delete(top.node);
        path.pop();
      } else if (onPath.has(next.node)) {
        const first = path[1]?.via ?? next.command;
        throw new BuildError(
          "dockerfile-syntax",
          `Cannot build stage "${root.title}": circular dependency detected on stage: ${root.title}`,
          { span: first.instruction.span, hint: "A stage can only copy from stages before it" },
        );
      } else if (!visited.has(next.node)) {
        visited.add(next.node);
        onPath.add(next.node);
        path.push({ node: next.node, rest: [...dependencies(next.node)], via: next.command });
      }
    }
  }
}

/**
 * The target and all that it stands on or takes from. `visit` sees each stage before its commands are looked at, and may
 * still add some.
 */
export function collectReachable(
  target: StageNode,
  visit: (node: StageNode) => void,
): ReadonlySet<StageNode> {
  const reachable = new Set([target]);
  // A set may grow while it is walked.
  for (const node of reachable) {
    visit(node);
    if (node.base.kind === "stage") reachable.add(node.base.node);
    if (node.isReplaced) continue;
    for (const { node: dependency } of dependencies(node)) reachable.add(dependency);
  }
  return reachable;
}
