import { BuildError, type SourceSpan } from "../errors/build-error.ts";
import type { Suggester } from "../errors/suggest-nearest.ts";
import { formatPlatform, type Platform, parsePlatform } from "../oci/platform.ts";
import { globalEnv, tryExpand } from "./check-file.ts";
import { expand, expandWords, MAX_EXPANDED_LENGTH } from "./expand-word.ts";
import type { AddInstruction, CopyInstruction, Dockerfile, Instruction, Stage } from "./instruction.ts";
import type { LintOptions, Report } from "./lint-dockerfile.ts";
import { makeIgnoreMatcher } from "./make-ignore-matcher.ts";
import { parseGitReference } from "./parse-git-reference.ts";

/*
 * Checks of what stands in stages, with the variables that are defined where it stands.
 */

interface StageCheck {
  readonly dockerfile: Dockerfile;
  readonly options: LintOptions;
  readonly report: Report;
  readonly suggest: Suggester;
  /** How many variables stages may still inherit: what a build cannot plan is not checked either. */
  readonly budget: { inherited: number; textLeft: number; patternWork: number };
}

/** What a stage passes on to those that are FROM it. */
interface Scope {
  readonly env: Map<string, string>;
  /** ARGs that were declared: those without a value are no mistake to use. */
  readonly declared: Set<string>;
  hasWorkdir: boolean;
  hasShell: boolean;
}

type Find = (rule: Parameters<Report>[0]["rule"], detail: string, span?: SourceSpan) => void;

export function checkStages(input: StageCheck): void {
  const { dockerfile, options } = input;
  const globals = globalEnv(dockerfile, options, options.buildArgs ?? {});
  const scopes = new Map<string, Scope>();
  const isIgnored = ignoredPaths(options);
  for (const [index, stage] of dockerfile.stages.entries()) {
    const base = tryExpand(stage.base, globals, dockerfile)?.result ?? stage.base;
    const scope = startScope(input, { stage, base, parent: scopes.get(base), globals });
    const isChecked = options.stages?.has(index) ?? true;
    const used = new Map<Instruction["kind"], SourceSpan>();
    for (const instruction of stage.instructions) {
      const find: Find = (rule, detail, span = instruction.span) => {
        if (isChecked) input.report({ rule, detail, span, comments: instruction.comments });
      };
      checkInstruction({ instruction, scope, globals, input, find, used, isIgnored });
    }
    if (stage.name !== undefined) scopes.set(stage.name, scope);
  }
}

function startScope(
  { dockerfile, options, report, budget }: StageCheck,
  given: { stage: Stage; base: string; parent: Scope | undefined; globals: ReadonlyMap<string, string> },
): Scope {
  const { stage, base, parent, globals } = given;
  if (parent !== undefined) {
    budget.inherited -= parent.env.size + parent.declared.size;
    if (budget.inherited < 0) {
      throw new BuildError(
        "input-limit",
        "Cannot check the Dockerfile: its stages inherit too many variables",
      );
    }
    return { ...parent, env: new Map(parent.env), declared: new Set(parent.declared) };
  }
  const wanted = stagePlatform(dockerfile, { stage, globals, options });
  const facts = base === "scratch" ? undefined : options.findBase?.(base, wanted);
  const env = new Map([["PATH", ""]]);
  for (const variable of facts?.env ?? []) {
    const equals = variable.indexOf("=");
    env.set(equals < 0 ? variable : variable.slice(0, equals), equals < 0 ? "" : variable.slice(equals + 1));
  }
  const actual = facts?.platform;
  if (actual !== undefined && (actual.os !== wanted.os || actual.architecture !== wanted.architecture)) {
    const detail = `Base image ${base} was pulled with platform "${formatPlatform(actual)}", expected "${formatPlatform(wanted)}" for current build`;
    report({ rule: "InvalidBaseImagePlatform", detail, span: stage.span, comments: stage.comments });
  }
  return { env, declared: new Set(), hasWorkdir: false, hasShell: false };
}

function stagePlatform(
  dockerfile: Dockerfile,
  given: { stage: Stage; globals: ReadonlyMap<string, string>; options: LintOptions },
): Platform {
  const target = given.options.platform ?? { os: "linux", architecture: "amd64" };
  const text = given.stage.platform && tryExpand(given.stage.platform, given.globals, dockerfile)?.result;
  if (!text) return target;
  try {
    return parsePlatform(text, given.options.buildPlatform);
  } catch {
    // The build says so itself.
    return target;
  }
}

interface InstructionCheck {
  readonly instruction: Instruction;
  readonly scope: Scope;
  readonly globals: ReadonlyMap<string, string>;
  readonly input: StageCheck;
  readonly find: Find;
  /** The last place of each instruction that counts only once. */
  readonly used: Map<Instruction["kind"], SourceSpan>;
  readonly isIgnored: (path: string) => boolean;
}

function checkInstruction(check: InstructionCheck): void {
  const { instruction, scope, find } = check;
  switch (instruction.kind) {
    case "arg":
      checkArg(check);
      break;
    case "env":
    case "label":
      checkPairs(check);
      break;
    case "cmd":
    case "entrypoint":
      checkOnce(check);
      if (instruction.command.form === "shell" && !scope.hasShell) {
        const detail = `JSON arguments recommended for ${instruction.keyword} to prevent unintended behavior related to OS signals`;
        find("JSONArgsRecommended", detail);
      }
      break;
    case "healthcheck":
      checkOnce(check);
      break;
    case "shell":
      scope.hasShell = true;
      break;
    case "workdir":
      checkWorkdir(check, expandAndCheck(check, instruction.path));
      break;
    case "copy":
    case "add":
      checkTransfer(check, instruction);
      break;
    case "expose":
      checkExpose(check, instruction.ports);
      break;
    case "run":
      for (const { fields } of instruction.mounts) {
        for (const { value } of fields) if (value !== undefined) expandAndCheck(check, value);
      }
      break;
    case "user":
      expandAndCheck(check, instruction.user);
      break;
    case "stopsignal":
      expandAndCheck(check, instruction.signal);
      break;
    case "volume":
      for (const volume of instruction.volumes) expandAndCheck(check, volume);
  }
}

/** Expands a word, and finds the variables in it that nothing defines. */
function expandAndCheck(check: InstructionCheck, word: string, isBody = false): string {
  const { scope, find, input } = check;
  let expansion: ReturnType<typeof expand>;
  try {
    expansion = expand(word, scope.env, {
      ...(isBody
        ? { ignoreQuotes: true, maxLength: word.length * 2 + MAX_EXPANDED_LENGTH }
        : { escape: input.dockerfile.escape }),
      budget: input.budget,
    });
  } catch (error) {
    if (error instanceof BuildError) return word;
    throw error;
  }
  input.budget.textLeft -= Math.max(0, expansion.result.length - word.length);
  if (input.budget.textLeft < 0) {
    throw new BuildError("input-limit", "Cannot check the Dockerfile: its expanded variables are too long");
  }
  for (const name of expansion.unmatched) {
    if (scope.declared.has(name) || name.startsWith("BUILDKIT_SBOM_SCAN_")) continue;
    const nearest = input.suggest(name, scope.env.keys());
    find(
      "UndefinedVar",
      `Usage of undefined variable '$${name}'${nearest ? ` (did you mean $${nearest}?)` : ""}`,
    );
  }
  return expansion.result;
}

const SECRET = /(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const HARMLESS = /(?:_|^)(?:public|file|version)(?:_|$)/i;

function checkSecret({ find, instruction }: InstructionCheck, name: string): void {
  if (!SECRET.test(name) || HARMLESS.test(name)) return;
  const keyword = instruction.kind.toUpperCase();
  find(
    "SecretsUsedInArgOrEnv",
    `Do not use ARG or ENV instructions for sensitive data (${keyword} "${name}")`,
  );
}

function checkArg(check: InstructionCheck): void {
  const { instruction, scope, globals, input } = check;
  if (instruction.kind !== "arg") return;
  const buildArgs = input.options.buildArgs ?? {};
  for (const { name, value } of instruction.args) {
    checkSecret(check, name);
    let result: string | undefined;
    if (Object.hasOwn(buildArgs, name)) result = buildArgs[name];
    else result = value === undefined ? globals.get(name) : expandAndCheck(check, value);
    if (result !== undefined) scope.env.set(name, result);
    scope.declared.add(name);
  }
}

function checkPairs(check: InstructionCheck): void {
  const { instruction, scope, find } = check;
  if (instruction.kind !== "env" && instruction.kind !== "label") return;
  const pairs = instruction.pairs.map(
    ({ key, value }) => [expandAndCheck(check, key), expandAndCheck(check, value)] as const,
  );
  for (const [i, [key, value]] of pairs.entries()) {
    if (!instruction.pairs[i]!.hasEquals) {
      const { keyword } = instruction;
      const detail = `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`;
      find("LegacyKeyValueFormat", detail);
    }
    if (instruction.kind === "label") continue;
    checkSecret(check, key);
    scope.env.set(key, value);
  }
}

/** The one before is reported: it is the one that has no effect. */
function checkOnce({ instruction, used, find }: InstructionCheck): void {
  const before = used.get(instruction.kind);
  if (before !== undefined) {
    const detail = `Multiple ${instruction.keyword} instructions should not be used in the same stage because only the last one will be used`;
    find("MultipleInstructionsDisallowed", detail, before);
  }
  used.set(instruction.kind, instruction.span);
}

/** Only the first of a stage: an absolute one would mend those after it. */
function checkWorkdir({ scope, find }: InstructionCheck, path: string): void {
  if (!scope.hasWorkdir && !path.startsWith("/")) {
    find(
      "WorkdirRelativePath",
      `Relative workdir "${path}" can have unexpected results if the base image changes`,
    );
  }
  scope.hasWorkdir = true;
}

function checkTransfer(check: InstructionCheck, instruction: CopyInstruction | AddInstruction): void {
  for (const flag of [
    instruction.chown,
    instruction.chmod,
    instruction.kind === "add" ? instruction.checksum : undefined,
  ]) {
    if (flag !== undefined) expandAndCheck(check, flag);
  }
  const isFromContext = instruction.kind === "add" || instruction.from === undefined;
  for (const source of instruction.sources) {
    if (source.kind === "heredoc") {
      if (source.expand) expandAndCheck(check, source.content, true);
      continue;
    }
    const path = expandAndCheck(check, source.path);
    if (!isFromContext || isRemote(path)) continue;
    const clean = path
      .split("/")
      .filter((part) => part !== "" && part !== ".")
      .join("/");
    if (!check.isIgnored(clean)) continue;
    const verb = instruction.kind === "add" ? "Add" : "Copy";
    check.find("CopyIgnoredFile", `Attempting to ${verb} file "${clean}" that is excluded by .dockerignore`);
  }
  expandAndCheck(check, instruction.destination);
}

function isRemote(path: string): boolean {
  if (/^https?:\/\//.test(path)) return true;
  try {
    return parseGitReference(path)?.looksLocal === false;
  } catch {
    return true;
  }
}

/** With `!` patterns nothing is said: what lies in an ignored directory may be meant to be copied. */
function ignoredPaths({ ignorePatterns = [] }: LintOptions): (path: string) => boolean {
  const matcher = makeIgnoreMatcher(ignorePatterns);
  return (path) => !matcher.hasNegations && matcher.excludes(path);
}

function checkExpose(check: InstructionCheck, ports: readonly string[]): void {
  const { scope, input, find } = check;
  for (const word of ports) {
    expandAndCheck(check, word);
    let expanded: readonly string[];
    try {
      expanded = expandWords(word, scope.env, { escape: input.dockerfile.escape });
    } catch (error) {
      if (error instanceof BuildError) continue;
      throw error;
    }
    for (const port of expanded) {
      const protocol = /\/(.*)$/.exec(port)?.[1] ?? "";
      if (protocol !== protocol.toLowerCase()) {
        find("ExposeProtoCasing", `Defined protocol '${port}' in EXPOSE instruction should be lowercase`);
      }
      if (port.replace(/\/.*$/, "").includes(":")) {
        find(
          "ExposeInvalidFormat",
          `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`,
        );
      }
    }
  }
}
