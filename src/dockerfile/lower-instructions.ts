import { attachSpan, BuildError, type SourceSpan } from "../errors/build-error.ts";
import type { ArgInstruction, Dockerfile, Instruction, Stage } from "./instruction.ts";
import { trimSpaces } from "./is-space.ts";
import { badInstruction, describe, lowerInstruction } from "./lower-instruction.ts";
import { parseDockerfile } from "./parse-dockerfile.ts";
import { parseFlags } from "./parse-flags.ts";
import type { SyntaxNode, SyntaxTree } from "./syntax-tree.ts";

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

/**
 * Checks the syntax tree and gives every instruction its type: stages, and the ARGs before the first of them.
 *
 * @throws BuildError `dockerfile-syntax` with the instruction's place, also for stages that no build would need.
 */
export function lowerInstructions(tree: SyntaxTree): Dockerfile {
  const globalArgs: ArgInstruction[] = [];
  const stages: (Stage & { readonly instructions: Instruction[] })[] = [];
  for (const node of tree.instructions) {
    try {
      if (node.keyword.toUpperCase() === "FROM") {
        stages.push({ ...lowerFrom(node), instructions: [] });
        continue;
      }
      const instruction = lowerInstruction(node);
      const stage = stages.at(-1);
      if (stage !== undefined) stage.instructions.push(instruction);
      else if (instruction.kind === "arg") globalArgs.push(instruction);
      else throw badInstruction(node, "no build stage in current context", "Begin with FROM");
    } catch (error) {
      throw attachSpan(error, narrowSpan(node, error));
    }
  }
  if (stages.length === 0) {
    const last = tree.instructions.at(-1);
    throw new BuildError(
      "dockerfile-syntax",
      `Cannot build "${tree.file}": dockerfile contains no stages to build`,
      {
        span: last?.span,
        hint: "Add a FROM instruction",
      },
    );
  }
  return { escape: tree.escape, globalArgs, stages };
}

/**
 * The instruction of an ONBUILD trigger, at the place of the FROM that inherits it.
 *
 * @throws BuildError `dockerfile-syntax`.
 */
export function lowerTrigger(expression: string, span: SourceSpan): Instruction {
  try {
    const { instructions } = parseDockerfile(expression, { file: "ONBUILD" });
    if (instructions.length !== 1) {
      throw new BuildError(
        "dockerfile-syntax",
        `Cannot run the trigger "${expression}": it is not one instruction`,
      );
    }
    return lowerInstruction({ ...instructions[0]!, span });
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    throw new BuildError(error.code, error.message, { span, hint: error.hint, cause: error });
  }
}

function lowerFrom(node: SyntaxNode): Omit<Stage, "instructions"> {
  const flags = parseFlags("FROM", node.flags, { platform: "text" });
  const [base, as, name] = node.arguments;
  const hasName = node.arguments.length === 3 && as?.toLowerCase() === "as";
  if (base === undefined || (node.arguments.length !== 1 && !hasName)) {
    throw badInstruction(node, "FROM requires either one or three arguments", "Write FROM IMAGE [AS NAME]");
  }
  const lower = hasName ? name!.toLowerCase() : undefined;
  if (lower !== undefined && !STAGE_NAME.test(lower)) {
    throw badInstruction(
      node,
      `invalid name for build stage: "${name}", name can't start with a number or contain symbols`,
    );
  }
  return {
    name: lower,
    base,
    platform: flags.text("platform"),
    description: lower === undefined ? undefined : describe(node.comments, lower),
    keyword: node.keyword,
    ...(hasName ? { asKeyword: as, writtenName: name } : {}),
    line: trimSpaces(node.line),
    comments: node.comments,
    span: node.span,
  };
}

/** Marks the word that an error names in quotes after a `:` or as a flag, when it stands on the first line. */
function narrowSpan(node: SyntaxNode, error: unknown): SourceSpan {
  const { span } = node;
  if (!(error instanceof BuildError) || span.startColumn === undefined) return span;
  const word = /: (?:unknown flag|unknown instruction): (\S+)$/.exec(error.message)?.[1];
  const at = word === undefined ? -1 : node.line.indexOf(word);
  if (word === undefined || at < 0) return span;
  // The first physical line begins like the logical one, up to the continuation.
  if (span.endColumn !== undefined && span.startColumn + at + word.length > span.endColumn) return span;
  return { ...span, startColumn: span.startColumn + at, endColumn: span.startColumn + at + word.length };
}
