import { expandWord } from "../dockerfile/expand-word.ts";
import type { Dockerfile, Stage } from "../dockerfile/instruction.ts";
import { parseGitReference } from "../dockerfile/parse-git-reference.ts";
import { attachSpan, BuildError } from "../errors/build-error.ts";
import { hintNearest, suggestNearest } from "../errors/suggest-nearest.ts";
import type { ContextLookup } from "./named-context.ts";
import type { Epoch, PlanOptions } from "./plan.ts";

interface EpochInput {
  readonly dockerfile: Dockerfile;
  readonly options: PlanOptions;
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly findContext: ContextLookup;
}

/**
 * What SOURCE_DATE_EPOCH says, as a build argument or a global ARG: seconds, `context`, a named context, or a stage that is
 * nothing but one remote ADD onto scratch.
 *
 * @throws BuildError `option-invalid`; `dockerfile-syntax`, with the stage's place, for a stage that holds more.
 */
export function resolveEpoch(input: EpochInput): Epoch | undefined {
  const { dockerfile, options, globalArgs, findContext } = input;
  const value = options.buildArgs?.SOURCE_DATE_EPOCH ?? globalArgs.get("SOURCE_DATE_EPOCH") ?? "";
  if (value === "") return undefined;
  if (/^[+-]?\d{1,15}$/.test(value)) return { kind: "time", seconds: Number(value) };
  if (value === "context") return { kind: "context", name: "context" };
  const context = findContext(value);
  if (context !== undefined) return { kind: "context", name: context.name };
  const stage = dockerfile.stages.find(({ name }) => name === value.toLowerCase());
  if (stage === undefined) {
    const names = dockerfile.stages.flatMap(({ name }) => name ?? []);
    throw new BuildError(
      "option-invalid",
      `Cannot use "${value}" as the time of the build: invalid SOURCE_DATE_EPOCH: ${value}`,
      {
        hint:
          hintNearest(value, ["context", ...names]) ??
          "Give seconds since 1970, context, a named context or a stage",
      },
    );
  }
  try {
    return epochOfStage(stage, input);
  } catch (error) {
    throw attachSpan(error, stage.span);
  }
}

function epochOfStage(stage: Stage, { dockerfile, options, globalArgs }: EpochInput): Epoch {
  const env = new Map(globalArgs);
  env.delete("SOURCE_DATE_EPOCH");
  const expandOne = (word: string) =>
    expandWord(word, env, { escape: dockerfile.escape, suggest: suggestNearest });
  if (expandOne(stage.base) !== "scratch")
    throw refuse(stage, "SOURCE_DATE_EPOCH stage must use FROM scratch");
  let epoch: Epoch | undefined;
  for (const instruction of stage.instructions) {
    if (instruction.kind === "arg") {
      for (const { name, value } of instruction.args) {
        const given = options.buildArgs?.[name] ?? (value === undefined ? undefined : expandOne(value));
        if (given !== undefined) env.set(name, given);
      }
    } else if (instruction.kind !== "add") {
      throw refuse(
        stage,
        `SOURCE_DATE_EPOCH stage does not meet source-only requirements: unsupported ${instruction.keyword} instruction`,
      );
    } else {
      const [source, ...others] = instruction.sources;
      if (epoch !== undefined || others.length > 0 || source?.kind !== "path") {
        throw refuse(stage, "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD");
      }
      const url = expandOne(source.path);
      const git = parseGitReference(url);
      if (git !== undefined && !git.looksLocal) epoch = { kind: "git", url };
      else if (/^https?:\/\//.test(url)) epoch = { kind: "http", url };
      else throw refuse(stage, "SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD");
    }
  }
  if (epoch === undefined) throw refuse(stage, "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD");
  return epoch;
}

function refuse(stage: Stage, problem: string): BuildError {
  return new BuildError(
    "dockerfile-syntax",
    `Cannot take the time of the build from stage "${stage.name}": ${problem}`,
  );
}
