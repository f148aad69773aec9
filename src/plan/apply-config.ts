import { formatDuration } from "../dockerfile/duration.ts";
import { quoteText } from "../dockerfile/format-syntax-tree.ts";
import type {
  ArgInstruction,
  CommandInstruction,
  CommandLine,
  ExposeInstruction,
  HealthcheckInstruction,
  PairsInstruction,
  VolumeInstruction,
} from "../dockerfile/instruction.ts";
import { parsePorts } from "../dockerfile/parse-ports.ts";
import type { EscapeCharacter } from "../dockerfile/syntax-tree.ts";
import { BuildError } from "../errors/build-error.ts";
import { expandAllIn, expandIn } from "./expand-in.ts";
import { parseSignal } from "./parse-signal.ts";
import {
  addHistory,
  declareArg,
  type StageState,
  setImageVariable,
  setVariable,
  spendBudget,
} from "./stage-state.ts";

/*
 * Instructions that change the image's config and nothing else. Their history texts are those of BuildKit's frontend, which
 * are Go's `%v` and `%q` of its structures.
 */

const DEFAULT_SHELL: readonly string[] = ["/bin/sh", "-c"];
const WINDOWS_SHELL: readonly string[] = ["cmd", "/S", "/C"];

/** The shell in front of a command in shell form. */
export function shellOf(state: StageState): readonly string[] {
  const shell = state.config.Shell ?? [];
  if (shell.length > 0) return shell;
  return state.platform.os === "windows" ? WINDOWS_SHELL : DEFAULT_SHELL;
}

export interface ArgScope {
  readonly buildArgs: Readonly<Record<string, string>>;
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly escape: EscapeCharacter;
}

/**
 * ARG: a build argument wins over the default, the default over the global ARG of the same name. What has a value hides
 * an ENV of the same name (the reference manual says the opposite, BuildKit does this).
 */
export function applyArg(state: StageState, instruction: ArgInstruction, scope: ArgScope): void {
  const texts = instruction.args.map(({ name, value: fallback }) => {
    let value: string | undefined;
    if (Object.hasOwn(scope.buildArgs, name)) value = scope.buildArgs[name];
    else if (fallback !== undefined) value = expandIn(state, fallback, scope.escape);
    else value = scope.globalArgs.get(name);
    if (value !== undefined && !SCAN_ARGS.has(name)) setVariable(state, name, value);
    declareArg(state, name, value);
    return value === undefined ? name : `${name}=${value}`;
  });
  addHistory(state, `ARG ${texts.join(" ")}`, true);
}

/** They only tell the scanner of attestations what to look at. */
const SCAN_ARGS: ReadonlySet<string> = new Set(["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"]);

/** ENV and LABEL. All pairs see the environment as it was before the instruction. */
export function applyPairs(
  state: StageState,
  instruction: PairsInstruction,
  escapeMark: EscapeCharacter,
): void {
  const expandOne = (word: string) => expandIn(state, word, escapeMark);
  const pairs = instruction.pairs.map(({ key, value }) => [expandOne(key), expandOne(value)] as const);
  for (const [key, value] of pairs) {
    if (instruction.kind === "env") setImageVariable(state, key, value);
    else state.labels.set(key, value);
  }
  const texts = pairs.map(([key, value]) => `${key}=${value}`);
  addHistory(state, `${instruction.kind.toUpperCase()} ${texts.join(" ")}`, true);
}

function fullCommand(state: StageState, command: CommandLine): readonly string[] {
  return command.form === "exec" ? command.args : [...shellOf(state), command.text];
}

function quoteList(values: readonly string[]): string {
  return `[${values.map(quoteText).join(" ")}]`;
}

/** CMD, and ENTRYPOINT, which drops a CMD that was inherited. */
export function applyCommand(state: StageState, instruction: CommandInstruction): void {
  const args = fullCommand(state, instruction.command);
  // An empty list means: none, also for whoever inherits it.
  const value = args.length > 0 ? args : undefined;
  if (instruction.kind === "cmd") {
    state.config.Cmd = value;
    state.config.ArgsEscaped = true;
    state.hasCmd = true;
  } else {
    state.config.Entrypoint = value;
    if (!state.hasCmd) state.config.Cmd = undefined;
  }
  addHistory(state, `${instruction.kind.toUpperCase()} ${quoteList(args)}`, true);
}

export function applyHealthcheck(state: StageState, { healthcheck }: HealthcheckInstruction): void {
  const { Test, Retries, ...times } = healthcheck;
  state.config.Healthcheck = Object.fromEntries(
    Object.entries(healthcheck).filter(([, value]) => value !== 0),
  );
  const parts = Object.entries(times).map(([name, value]) => `${name}:${formatDuration(value)}`);
  addHistory(state, `HEALTHCHECK {Test:[${Test.join(" ")}] ${parts.join(" ")} Retries:${Retries}}`, true);
}

export function applyShell(state: StageState, shell: readonly string[]): void {
  state.config.Shell = shell;
  addHistory(state, `SHELL [${shell.join(" ")}]`, true);
}

export function applyUser(state: StageState, user: string): void {
  state.config.User = user;
  addHistory(state, `USER ${user}`, true);
}

export function applyStopsignal(state: StageState, signal: string): void {
  parseSignal(signal);
  state.config.StopSignal = signal;
  addHistory(state, `STOPSIGNAL ${signal}`, true);
}

export function applyMaintainer(state: StageState, author: string): void {
  state.author = author;
  addHistory(state, `MAINTAINER ${author}`, true);
}

export function applyVolume(
  state: StageState,
  instruction: VolumeInstruction,
  escapeMark: EscapeCharacter,
): void {
  const volumes = instruction.volumes.map((volume) => expandIn(state, volume, escapeMark));
  if (volumes.includes("")) {
    throw new BuildError(
      "dockerfile-syntax",
      'Cannot parse "VOLUME": VOLUME specified can not be an empty string',
    );
  }
  for (const volume of volumes) state.volumes.add(volume);
  addHistory(state, `VOLUME [${volumes.join(" ")}]`, true);
}

export function applyExpose(
  state: StageState,
  instruction: ExposeInstruction,
  escapeMark: EscapeCharacter,
): void {
  const words = instruction.ports.flatMap((port) => expandAllIn(state, port, escapeMark));
  const ports = words.flatMap(parsePorts);
  // A word can be 65,535 ports.
  spendBudget(state.budget, ports.length);
  for (const port of ports) state.ports.add(port);
  addHistory(state, `EXPOSE [${ports.join(" ")}]`, true);
}

export function applyOnbuild(state: StageState, expression: string): void {
  // BuildKit writes no history for it.
  state.triggers.push(expression);
}
