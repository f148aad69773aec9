import type { Instruction } from "../dockerfile/instruction.ts";
import { lowerTrigger } from "../dockerfile/lower-instructions.ts";
import { attachSpan } from "../errors/build-error.ts";
import type { Platform } from "../oci/platform.ts";
import type { ImageBase, ImageNeed } from "./plan.ts";
import type { BaseLookup } from "./plan-context.ts";
import { collectReachable, type StageGraph, type StageNode } from "./stage-graph.ts";

/** The image that a stage stands on, if it is one whose config counts. */
export function baseImage(
  node: StageNode,
  target: Platform,
): { reference: string; platform: Platform; hint?: string } | undefined {
  const platform = node.platform ?? target;
  if (node.base.kind === "image") return { reference: node.base.reference, platform, hint: node.base.hint };
  if (node.base.kind !== "context" || node.base.context.kind !== "image") return undefined;
  return { reference: node.base.context.reference, platform };
}

/** Walks from the target; ONBUILD triggers of a base may add to the way. */
export function resolveBases(
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
