import type { WorkdirInstruction } from "../dockerfile/instruction.ts";
import {
  applyArg,
  applyCommand,
  applyExpose,
  applyHealthcheck,
  applyMaintainer,
  applyOnbuild,
  applyPairs,
  applyShell,
  applyStopsignal,
  applyUser,
  applyVolume,
} from "./apply-config.ts";
import { applyCopy } from "./apply-copy.ts";
import { applyRun } from "./apply-run.ts";
import { expandIn } from "./expand-in.ts";
import { cleanPath, joinPath } from "./join-path.ts";
import type { PlanContext } from "./plan-context.ts";
import type { Command } from "./stage-graph.ts";
import { addHistory, type StageState } from "./stage-state.ts";
import { displayLine, nameStep } from "./step-name.ts";

/** Folds one instruction into its stage. Throws BuildError, without the place. */
export function applyInstruction(context: PlanContext, state: StageState, command: Command): void {
  const { instruction } = command;
  const expandOne = (word: string) => expandIn(state, word, context.escape);
  switch (instruction.kind) {
    case "run":
      applyRun(context, state, command);
      break;
    case "copy":
    case "add":
      applyCopy(context, state, command);
      break;
    case "workdir":
      applyWorkdir(context, state, command);
      break;
    case "arg":
      for (const { name } of instruction.args) context.usedArgs.add(name);
      applyArg(state, instruction, {
        buildArgs: context.options.buildArgs ?? {},
        globalArgs: context.globalArgs,
        escape: context.escape,
      });
      break;
    case "env":
    case "label":
      applyPairs(state, instruction, context.escape);
      break;
    case "cmd":
    case "entrypoint":
      applyCommand(state, instruction);
      break;
    case "healthcheck":
      applyHealthcheck(state, instruction);
      break;
    case "shell":
      applyShell(state, instruction.shell);
      break;
    case "user":
      applyUser(state, expandOne(instruction.user));
      break;
    case "stopsignal":
      applyStopsignal(state, expandOne(instruction.signal));
      break;
    case "maintainer":
      applyMaintainer(state, instruction.author);
      break;
    case "volume":
      applyVolume(state, instruction, context.escape);
      break;
    case "expose":
      applyExpose(state, instruction, context.escape);
      break;
    case "onbuild":
      applyOnbuild(state, instruction.expression);
      break;
  }
}

/** WORKDIR: the directory is made, by the USER in force, unless it is the root. An absolute path is kept as written. */
function applyWorkdir(context: PlanContext, state: StageState, command: Command): void {
  const instruction = command.instruction as WorkdirInstruction;
  const path = expandIn(state, instruction.path, context.escape);
  const directory = path.startsWith("/") ? path : joinPath(state.config.WorkingDir ?? "/", path);
  state.config.WorkingDir = directory;
  const clean = cleanPath(directory);
  const text = displayLine(state, instruction.line, { escape: context.escape });
  const name = nameStep(context, state, { text, isTrigger: command.isTrigger });
  if (clean !== "/") {
    state.rootfs = context.steps.add({
      kind: "workdir",
      name,
      stage: state.node.label,
      platform: state.platform,
      span: instruction.span,
      base: state.rootfs,
      path: clean,
      user: state.config.User ?? "",
    });
  }
  addHistory(state, `WORKDIR ${directory}`, clean === "/");
}
