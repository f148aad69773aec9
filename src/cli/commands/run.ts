import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { type RunImageOptions, runImage } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { parseNetwork, parseVariables } from "../parse-values.ts";
import { startProgress } from "../start-progress.ts";
import { withSession } from "../with-session.ts";

interface RunFlags {
  readonly env: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly entrypoint?: string;
  readonly network?: string;
  readonly interactive?: true;
  readonly tty?: true;
  readonly platform?: string;
  readonly pull?: RunImageOptions["pull"];
}

/** docker's status when the command was not even started. */
const NOT_STARTED_STATUS = 125;
/** Known from docker, and refused, with what to do instead. */
const REFUSED = {
  "-d, --detach":
    "Leave it out, or run the image with docker: slipway build --load gives it to docker's engine",
  "--name <value>": "Leave it out: nothing is left of the command that a name could be for",
  "-p, --publish <value>": "Leave it out: the command has the network of this machine",
  "-v, --volume <value>": "COPY the files into the image, or run it with docker: slipway build --load",
  "--mount <value>": "COPY the files into the image, or run it with docker: slipway build --load",
} as const;

export function defineRun(command: Command, context: CommandContext): void {
  command
    .argument("<image>", "a name or an id; pulled when it is not here")
    .argument("[command...]", "instead of the image's CMD")
    .usage("[OPTIONS] IMAGE [COMMAND] [ARG...]")
    .passThroughOptions()
    .addOption(makeOption("--rm", "has no effect: changes are always thrown away"))
    .addOption(
      makeOption("-e, --env <name=value>", "variable; NAME takes it from the environment", {
        isRepeatable: true,
      }),
    )
    .addOption(makeOption("-w, --workdir <dir>", "working directory"))
    .addOption(makeOption("-u, --user <user>", "NAME|UID[:GROUP|GID]"))
    .addOption(makeOption("--entrypoint <program>", "instead of the image's ENTRYPOINT"))
    .addOption(makeOption("--network <mode>", "host (default) or none"))
    .addOption(makeOption("-i, --interactive", "the command reads stdin"))
    .addOption(makeOption("-t, --tty", "the command has a terminal"))
    .addOption(makeOption("--platform <platform>", "os/architecture[/variant]"))
    .addOption(
      makeOption("--pull <when>", "when to ask the registry: missing (default), always or never").choices([
        "missing",
        "always",
        "never",
      ]),
    );
  for (const flags of Object.keys(REFUSED)) {
    command.addOption(makeOption(flags, "refused: run has no such thing", { isHidden: true }));
  }
  command.action(async (image: string, args: readonly string[], flags: RunFlags) => {
    context.setFailureStatus(NOT_STARTED_STATUS);
    refuseUnknown(flags);
    if (flags.tty && !context.stdin.isTTY) {
      throw new BuildError("option-invalid", "Cannot give the command a terminal: stdin is none", {
        hint: "Leave -t away",
      });
    }
    const isAttached = flags.interactive === true || flags.tty === true;
    // Nothing more is shown once the command runs, for the terminal is its own.
    const progress = await startProgress(context, { mode: "auto", verb: "Pulled" });
    let isStarted = false;
    const onStart = () => {
      isStarted = true;
      progress.close(true);
      if (isAttached) context.leaveFirstInterrupt();
    };
    const options = { ...readFlags(flags, context), args, isAttached, onStart };
    try {
      const exit = await withSession(context, (session) => runImage(session, image, options), {
        emit: (event) => {
          if (!isStarted) progress.emit(event);
        },
      });
      context.setStatus(statusOf(exit));
    } finally {
      if (!isStarted) progress.close(false);
    }
  });
}

function readFlags(flags: RunFlags, context: CommandContext): RunImageOptions {
  const { entrypoint, user, platform, pull } = flags;
  return {
    entrypoint,
    user,
    platform,
    pull,
    env: parseVariables(flags.env, "--env", context.env),
    workingDirectory: flags.workdir,
    network: parseNetwork(flags.network ?? "host") === "none" ? "none" : "host",
    hasTerminal: flags.tty === true,
    onOutput: (stream, data) => context[stream].write(data),
  };
}

/** docker's statuses for what could not be started; the runtime has said why. */
function statusOf({ exitCode, runtimeMessage }: Awaited<ReturnType<typeof runImage>>): number {
  if (runtimeMessage === undefined) return exitCode;
  if (/not found|no such file/i.test(runtimeMessage)) return 127;
  return /permission denied|exec format/i.test(runtimeMessage) ? 126 : NOT_STARTED_STATUS;
}

function refuseUnknown(flags: RunFlags): void {
  const values = flags as unknown as Readonly<Record<string, unknown>>;
  for (const [refused, hint] of Object.entries(REFUSED)) {
    const name = /--([a-z]+)/.exec(refused)![1]!;
    if (values[name] === undefined) continue;
    const reason = "slipway run only starts a command and waits for it";
    throw new BuildError("unsupported", `Cannot use --${name}: ${reason}`, { hint });
  }
}
