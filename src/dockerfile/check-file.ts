import { BuildError } from "../errors/build-error.ts";
import type { Suggester } from "../errors/suggest-nearest.ts";
import { formatPlatform, type Platform, parsePlatform } from "../oci/platform.ts";
import { parseImageReference } from "../oci/reference.ts";
import { type Expansion, expand } from "./expand-word.ts";
import type { Dockerfile, Stage } from "./instruction.ts";
import type { LintOptions, Report } from "./lint-dockerfile.ts";
import type { SyntaxTree } from "./syntax-tree.ts";

/*
 * Checks that look at the whole file, whatever is built of it: how it is written, the names of stages, and what FROM says.
 */

interface FileCheck {
  readonly tree: SyntaxTree;
  readonly dockerfile: Dockerfile;
  readonly options: LintOptions;
  readonly report: Report;
  readonly suggest: Suggester;
}

export function checkFile(input: FileCheck): void {
  checkContinuations(input);
  checkCasing(input);
  checkStageNames(input);
  checkDescriptions(input);
  checkBases(input);
}

function checkContinuations({ tree, report }: FileCheck): void {
  for (const { span } of tree.emptyContinuations) {
    report({ rule: "NoEmptyContinuation", detail: "Empty continuation line", span });
  }
}

function checkCasing({ dockerfile, report }: FileCheck): void {
  const all = dockerfile.stages.flatMap((stage) => [stage, ...stage.instructions]);
  const lower = all.filter(({ keyword }) => keyword === keyword.toLowerCase()).length;
  const upper = all.filter(({ keyword }) => keyword === keyword.toUpperCase()).length;
  const wanted = lower > upper ? "lowercase" : "uppercase";
  for (const { keyword, span, comments } of all) {
    if (keyword === (lower > upper ? keyword.toLowerCase() : keyword.toUpperCase())) continue;
    const detail = `Command '${keyword}' should match the case of the command majority (${wanted})`;
    report({ rule: "ConsistentInstructionCasing", detail, span, comments });
  }
  for (const instruction of all) {
    if ("kind" in instruction && instruction.kind === "maintainer") {
      const detail = "Maintainer instruction is deprecated in favor of using label";
      report({
        rule: "MaintainerDeprecated",
        detail,
        span: instruction.span,
        comments: instruction.comments,
      });
    }
  }
}

function checkStageNames({ dockerfile, report }: FileCheck): void {
  const seen = new Set<string>();
  for (const stage of dockerfile.stages) {
    const { name, writtenName, keyword, asKeyword, span, comments } = stage;
    if (name === undefined || asKeyword === undefined) continue;
    if (writtenName !== name) {
      report({
        rule: "StageNameCasing",
        detail: `Stage name '${writtenName}' should be lowercase`,
        span,
        comments,
      });
    }
    const expected = keyword === keyword.toLowerCase() ? asKeyword.toLowerCase() : asKeyword.toUpperCase();
    const isConsistent = keyword === keyword.toLowerCase() || keyword === keyword.toUpperCase();
    if (isConsistent && asKeyword !== expected) {
      const detail = `'${asKeyword}' and '${keyword}' keywords' casing do not match`;
      report({ rule: "FromAsCasing", detail, span, comments });
    }
    if (name === "scratch" || name === "context") {
      const detail = `Stage name should not use the same name as reserved stage "${name}"`;
      report({ rule: "ReservedStageName", detail, span, comments });
    }
    if (seen.has(name)) {
      const detail = `Duplicate stage name "${name}", stage names should be unique`;
      report({ rule: "DuplicateStageName", detail, span, comments });
    }
    seen.add(name);
  }
}

function checkDescriptions({ dockerfile, report }: FileCheck): void {
  const check = (
    instruction: "FROM" | "ARG",
    names: readonly string[],
    at: Pick<Stage, "comments" | "span">,
  ) => {
    const first = at.comments.at(-1)?.split(" ", 1)[0];
    if (first === undefined || names.length === 0 || names.includes(first)) return;
    const example = names.length > 1 ? "<arg_key>" : names[0];
    const detail = `Comment for ${instruction} should follow the format: \`# ${example} <description>\``;
    report({ rule: "InvalidDefinitionDescription", detail, span: at.span, comments: at.comments });
  };
  for (const arg of dockerfile.globalArgs)
    check(
      "ARG",
      arg.args.map(({ name }) => name),
      arg,
    );
  for (const stage of dockerfile.stages) {
    if (stage.name !== undefined) check("FROM", [stage.name], stage);
    for (const instruction of stage.instructions) {
      if (instruction.kind === "arg")
        check(
          "ARG",
          instruction.args.map(({ name }) => name),
          instruction,
        );
    }
  }
}

const DEFAULT_PLATFORM: Platform = { os: "linux", architecture: "amd64" };

/** The ARGs that FROM sees: predefined and global ones, with the values given or only with their defaults. */
export function globalEnv(
  dockerfile: Dockerfile,
  options: LintOptions,
  buildArgs: Readonly<Record<string, string>>,
): Map<string, string> {
  const target = options.platform ?? DEFAULT_PLATFORM;
  const build = options.buildPlatform ?? DEFAULT_PLATFORM;
  const env = new Map<string, string>([["TARGETSTAGE", dockerfile.stages.at(-1)?.name ?? "default"]]);
  for (const [prefix, platform] of [
    ["TARGET", target],
    ["BUILD", build],
  ] as const) {
    env.set(`${prefix}PLATFORM`, formatPlatform(platform));
    env.set(`${prefix}OS`, platform.os);
    env.set(`${prefix}OSVERSION`, platform["os.version"] ?? "");
    env.set(`${prefix}ARCH`, platform.architecture);
    env.set(`${prefix}VARIANT`, platform.variant ?? "");
  }
  for (const { args } of dockerfile.globalArgs) {
    for (const { name, value } of args) {
      const given = Object.hasOwn(buildArgs, name) ? buildArgs[name] : undefined;
      const result = given ?? (value === undefined ? undefined : tryExpand(value, env, dockerfile)?.result);
      if (result !== undefined) env.set(name, result);
    }
  }
  return env;
}

/** The expansion, or nothing where it fails: the build says so itself. */
export function tryExpand(
  word: string,
  env: ReadonlyMap<string, string>,
  dockerfile: Dockerfile,
): Expansion | undefined {
  try {
    return expand(word, env, { escape: dockerfile.escape });
  } catch (error) {
    if (error instanceof BuildError) return undefined;
    throw error;
  }
}

function checkBases(input: FileCheck): void {
  const { dockerfile, options, report, suggest } = input;
  const defaults = globalEnv(dockerfile, options, {});
  const env = globalEnv(dockerfile, options, options.buildArgs ?? {});
  const declared = new Set([
    ...env.keys(),
    ...dockerfile.globalArgs.flatMap(({ args }) => args.map(({ name }) => name)),
  ]);
  for (const stage of dockerfile.stages) {
    const { span, comments } = stage;
    const byDefault = tryExpand(stage.base, defaults, dockerfile);
    if (byDefault !== undefined && !isReference(byDefault.result)) {
      const detail = `Default value for ARG ${stage.base} results in empty or invalid base image name`;
      report({ rule: "InvalidDefaultArgInFrom", detail, span, comments });
    }
    const base = tryExpand(stage.base, env, dockerfile);
    const platform = stage.platform === undefined ? undefined : tryExpand(stage.platform, env, dockerfile);
    for (const name of [...(base?.unmatched ?? []), ...(platform?.unmatched ?? [])]) {
      if (declared.has(name)) continue;
      const nearest = suggest(name, declared);
      const detail = `FROM argument '${name}' is not declared${nearest ? ` (did you mean ${nearest}?)` : ""}`;
      report({ rule: "UndefinedArgInFrom", detail, span, comments });
    }
    if (platform !== undefined) checkPlatformFlag(input, stage, platform);
  }
}

function checkPlatformFlag({ report, options }: FileCheck, stage: Stage, platform: Expansion): void {
  const { span, comments } = stage;
  const { matched, unmatched, result } = platform;
  const target = formatPlatform(options.platform ?? DEFAULT_PLATFORM);
  if (matched.size === 1 && unmatched.size === 0 && matched.has("TARGETPLATFORM") && result === target) {
    const detail = `Setting platform to predefined ${stage.platform} in FROM is redundant as this is the default behavior`;
    report({ rule: "RedundantTargetPlatform", detail, span, comments });
  }
  if (matched.size > 0 || unmatched.size > 0) return;
  let parsed: Platform;
  try {
    parsed = parsePlatform(result);
  } catch {
    // The build says so itself.
    return;
  }
  const name = stage.name ?? "";
  // A stage that is named for its platform says that it means it.
  if (name.includes(parsed.os) || name.includes(parsed.architecture)) return;
  const detail = `FROM --platform flag should not use constant value "${result}"`;
  report({ rule: "FromPlatformFlagConstDisallowed", detail, span, comments });
}

function isReference(name: string): boolean {
  try {
    parseImageReference(name);
    return true;
  } catch {
    return false;
  }
}
