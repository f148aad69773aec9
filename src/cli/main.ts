import { constants } from "node:os";
import { Command, CommanderError } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { BuildError } from "../errors/build-error.ts";
import { blameMachine } from "../errors/explain-system-error.ts";
import {
  BUG_STATUS,
  type CommandContext,
  type CommandWorld,
  FAILURE_STATUS,
  USAGE_STATUS,
} from "./command-context.ts";
import { formatExamples } from "./command-examples.ts";
import { COMMANDS, describeMissing, respell } from "./command-table.ts";
import { addGlobalOptions, countGlobals, withGlobalFlags } from "./global-options.ts";
import { makeOption, takeGoSpellings } from "./make-option.ts";
import type { FoundSettings } from "./settings/find-settings.ts";
import type { FoundSetting, Settings } from "./settings/settings.ts";
import { type SignalWatch, watchSignals } from "./watch-signals.ts";

const EXAMPLES = `
Examples:
  slipway build -t app .              build ./Dockerfile and call the image "app"
  slipway run --rm app                run it
  slipway build -o type=oci,dest=app.tar .
  slipway COMMAND --help              the options of a command

Exit status: 0; 1 for a failure; 2 for arguments that cannot be read; 128 and the signal's number
after Ctrl-C. "run" gives its command's, or 125 when that could not be started.
`;

/**
 * Runs the command line to its end.
 *
 * @param args without the names of the programs.
 * @returns the exit status, as `--help` explains it.
 */
export async function main(args: readonly string[], world: CommandWorld): Promise<number> {
  using signals = watchSignals();
  for (const stream of [world.stdout, world.stderr]) stream.on("error", endOnBrokenOutput);
  const outcome = { status: 0, failureStatus: FAILURE_STATUS };
  const found: { settings: Settings; found: readonly FoundSetting[] } = {
    settings: { registries: {} },
    found: [],
  };
  let command = new Command("slipway");
  const context = makeContext(world, { outcome, signals, found, findCommand: () => command });
  const program = defineProgram(command, context);
  program.hook("preAction", async (_, running) => {
    command = running;
    const { findSettings } = await import("./settings/find-settings.ts");
    const outer = await findSettings({ env: world.env, directory: process.cwd() });
    Object.assign(found, withGlobalFlags(outer, running.optsWithGlobals()));
  });
  try {
    const spelled = spellCommand(args);
    const missing = describeMissing(spelled.slice(countGlobals(spelled)));
    if (missing !== undefined) {
      context.stderr.write(`Error: ${missing.message}\n\nHint: ${missing.hint}\n`);
      return USAGE_STATUS;
    }
    await program.parseAsync(spelled, { from: "user" });
    return signals.exitStatus() ?? outcome.status;
  } catch (thrown) {
    const error = blameMachine(thrown);
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_STATUS;
    const stoppedBy = signals.exitStatus();
    if (stoppedBy === undefined) await tellError(error, context);
    return stoppedBy ?? (error instanceof BuildError ? outcome.failureStatus : BUG_STATUS);
  }
}

function makeContext(
  world: CommandWorld,
  {
    outcome,
    signals,
    found,
    findCommand,
  }: {
    readonly outcome: { status: number; failureStatus: number };
    readonly signals: SignalWatch;
    readonly found: FoundSettings;
    readonly findCommand: () => Command;
  },
): CommandContext {
  return {
    // Node makes it when it is first asked for.
    get stdin() {
      return world.stdin;
    },
    stdout: world.stdout,
    stderr: world.stderr,
    env: world.env,
    signal: signals.signal,
    sources: new Map(),
    settings: () => found.settings,
    foundSettings: () => found.found,
    isDebug: () => findCommand().optsWithGlobals().debug === true,
    setStatus(status) {
      outcome.status = status;
    },
    setFailureStatus(status) {
      outcome.failureStatus = status;
    },
    leaveFirstInterrupt: signals.leaveFirstInterrupt,
  };
}

function defineProgram(program: Command, context: CommandContext): Command {
  program
    .description("Builds container images from Dockerfiles, without a daemon.")
    .usage("[OPTIONS] COMMAND")
    .version(packageJson.version, "-v, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      getOutHelpWidth: () => Math.min(context.stdout.columns ?? 100, 110),
      getErrHelpWidth: () => Math.min(context.stderr.columns ?? 100, 110),
      outputError: (text, write) => write(formatUsageError(text)),
    })
    .configureHelp({
      subcommandTerm: (command) => command.name(),
      // Defaults and choices are part of the text.
      optionDescription: (option) => option.description,
    })
    .addHelpText("after", EXAMPLES);
  addGlobalOptions(program, { isHidden: false });
  for (const { name, group, summary } of COMMANDS) {
    program.command(name).summary(summary).description(`${summary}.`).usage("").helpGroup(`${group}:`);
  }
  program.hook("preSubcommand", async (_, command) => {
    const define = await COMMANDS.find(({ name }) => name === command.name())!.load();
    command.addHelpText("after", formatExamples(command.name()));
    define(command, context);
    prepare(command);
  });
  return program;
}

/** Also after the command's name: `slipway images --root DIR`. */
function prepare(command: Command): void {
  const group = command.options.findLast((option) => !option.hidden)?.helpGroupHeading;
  addGlobalOptions(command, { isHidden: true });
  command.addHelpOption(makeOption("-h, --help", "print this help", { group }));
  takeGoSpellings(command);
  for (const inner of command.commands) prepare(inner);
}

/** Puts docker's other spellings into ours, and `help COMMAND` into `COMMAND --help`. */
function spellCommand(args: readonly string[]): readonly string[] {
  const position = countGlobals(args);
  const globals = args.slice(0, position);
  const rest = args.slice(position);
  if (rest[0] === "help") return [...globals, ...rest.slice(1), "--help"];
  return [...globals, ...respell(rest)];
}

async function tellError(error: unknown, context: CommandContext): Promise<void> {
  const { formatError } = await import("./format-error.ts");
  const { hasColor } = await import("../progress/style.ts");
  const { findCiSystem, formatAnnotation } = await import("../progress/ci-marks.ts");
  const { shortPath } = await import("./short-path.ts");
  const span = error instanceof BuildError ? error.span : undefined;
  const annotation = formatAnnotation(findCiSystem(context.env), {
    level: "error",
    message: error instanceof Error ? error.message : String(error),
    file: span && shortPath(span.file),
    line: span?.startLine,
  });
  context.stderr.write(
    annotation +
      formatError(error, {
        color: hasColor(context.stderr, context.env),
        isDebug: context.isDebug(),
        sources: context.sources,
      }),
  );
}

/** commander's words in the form of our errors: `error: unknown option '--tga'` and `(Did you mean --tag?)` below it. */
function formatUsageError(text: string): string {
  const [first = "", hint] = text.trim().split("\n");
  const message = first
    .replace(/^error: (.)/, (_, letter: string) => letter.toUpperCase())
    .replaceAll("'", '"');
  const hintLine = hint === undefined ? "" : `\nHint: ${hint.replace(/^\((.*)\)$/, "$1")}\n`;
  return `Error: ${message}\n${hintLine}`;
}

/** Whoever reads our output has seen enough (`slipway images | head -1`): end as SIGPIPE would. Else the disk is full that it goes to. */
function endOnBrokenOutput({ code, message }: NodeJS.ErrnoException): void {
  if (code === "EPIPE") process.exit(128 + constants.signals.SIGPIPE);
  process.stderr.write(`Error: Cannot write the output: ${message}\n`);
  process.exit(FAILURE_STATUS);
}
