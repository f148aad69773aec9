import assert from "node:assert/strict";
import { formatSyntaxTree } from "../src/dockerfile/format-syntax-tree.ts";
import { lintDockerfile } from "../src/dockerfile/lint-dockerfile.ts";
import { listTargets } from "../src/dockerfile/list-targets.ts";
import { lowerInstructions } from "../src/dockerfile/lower-instructions.ts";
import { parseDockerfile } from "../src/dockerfile/parse-dockerfile.ts";
import type { SyntaxTree } from "../src/dockerfile/syntax-tree.ts";
import { BuildError } from "../src/errors/build-error.ts";
import { outlineBuild } from "../src/plan/outline-build.ts";
import type { ImageBase, ImageNeed, PlanOptions, Step } from "../src/plan/plan.ts";
import { planBuild } from "../src/plan/plan-build.ts";

const PLATFORM = { os: "linux", architecture: "amd64" };
const OPTIONS: PlanOptions = { platforms: [PLATFORM], buildPlatform: PLATFORM };

/** How far a text came; an error is one of ours, with a place in the file. */
export type Outcome = "planned" | "parsed" | "refused";

/**
 * Parses, formats, lowers, checks, plans and outlines a Dockerfile, and asserts what must hold of any: places lie in the file, steps
 * stand after their inputs, and whatever is refused is refused with a place.
 */
export function exerciseDockerfile(text: string): Outcome {
  const tree = expected(text, () => parseDockerfile(text, { file: "Dockerfile" }));
  if (tree === undefined) return "refused";
  const lineCount = text.split("\n").length;
  let last = 0;
  for (const { span } of tree.instructions) {
    assert.ok(span.startLine > last && span.endLine >= span.startLine && span.endLine <= lineCount);
    last = span.endLine;
  }
  assert.equal(formatSyntaxTree(tree).split("\n").length, tree.instructions.length + 1);
  expected(text, () => listTargets(lowerInstructions(tree)));
  expected(text, () => lintDockerfile(tree));
  expected(text, () => settle((bases) => outlineBuild(tree, OPTIONS, bases)));
  const steps = expected(text, () => planSteps(tree));
  if (steps === undefined) return "parsed";
  for (const [id, step] of steps.entries()) {
    assert.equal(step.id, id);
    for (const input of inputsOf(step)) assert.ok(input < id, `step ${id} stands before its input ${input}`);
  }
  return "planned";
}

function planSteps(tree: SyntaxTree): readonly Step[] {
  return settle((bases) => planBuild(tree, OPTIONS, bases)).steps;
}

/** Gives every image that is asked for a config with an ONBUILD trigger in it. */
function settle<Result extends object>(
  ask: (bases: readonly ImageBase[]) => Result | { readonly needs: readonly ImageNeed[] },
): Result {
  const bases: ImageBase[] = [];
  for (let round = 0; round < 10; round++) {
    const result = ask(bases);
    if (!("needs" in result)) return result;
    for (const need of result.needs) {
      const config = { Env: ["PATH=/bin"], OnBuild: ["RUN x"] };
      bases.push({ ...need, config: { ...need.platform, config, rootfs: { type: "layers", diff_ids: [] } } });
    }
  }
  throw new Error("it asks for images without end");
}

function inputsOf(step: Step): readonly number[] {
  switch (step.kind) {
    case "source":
      return [];
    case "workdir":
      return [step.base];
    case "copy":
      return [step.base, ...step.sources.flatMap((source) => ("from" in source ? source.from : []))];
    case "run":
      return [step.base, ...step.mounts.flatMap((mount) => ("from" in mount ? (mount.from ?? []) : []))];
  }
}

/** The result, or undefined for an error of ours; any other error is thrown, with the text. */
function expected<Result>(text: string, run: () => Result): Result | undefined {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof BuildError))
      throw new Error(`it crashes on ${JSON.stringify(text)}`, { cause: error });
    assert.doesNotMatch(error.message, /undefined|\[object|NaN/, JSON.stringify(text));
    const lines = text.split("\n").length;
    if (error.span !== undefined) assert.ok(error.span.startLine >= 1 && error.span.startLine <= lines);
    return undefined;
  }
}
