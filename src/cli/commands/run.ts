import { randomBytes } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import type { Session } from "../../build/open-session.ts";
import { BuildError } from "../../errors/build-error.ts";
import type { ResolvedImage } from "../../image/image-access.ts";
import { resolveImage } from "../../image/resolve-image.ts";
import type { ContainerExit } from "../../sandbox/holder-protocol.ts";
import { runContainer } from "../../sandbox/run-container.ts";
import { removeTree } from "../../store/remove-tree.ts";
import type { CommandContext } from "../command-context.ts";
import { containerCommand, type RunFlags } from "../container-command.ts";
import { choosePlatform, findImage } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { parseNetwork } from "../parse-values.ts";
import { startProgress } from "../start-progress.ts";
import { withSession } from "../with-session.ts";

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
    const exit = await withSession(context, (session) => runImage(session, { image, args, flags }, context));
    context.setStatus(statusOf(exit));
  });
}

async function runImage(
  session: Session,
  {
    image,
    args,
    flags,
  }: { readonly image: string; readonly args: readonly string[]; readonly flags: RunFlags },
  context: CommandContext,
): Promise<ContainerExit> {
  const { store, signal } = session.access;
  const resolved = await fetchImage(session, { image, flags }, context);
  const layers = await Promise.all(resolved.layers.map((layer) => layer.load()));
  // Without -i the command's stdin is empty: it must not eat that of the script around it.
  const isAttached = flags.interactive === true || flags.tty === true;
  if (isAttached) context.leaveFirstInterrupt();
  const network = parseNetwork(flags.network ?? "host");
  const directory = await mkdtemp(join(store.temporaryDirectory, "run-"));
  const stdio = isAttached ? "inherit" : "pipe";
  try {
    return await runContainer(
      session.openSandbox({ stdio }),
      {
        ...containerCommand(resolved, { args, flags }, context.env),
        layers,
        hostname: randomBytes(6).toString("hex"),
        network: network === "none" ? "none" : "host",
        extraHosts: [],
        ulimits: [],
        mounts: [],
        trees: [],
        memoryFiles: [],
        directory,
        stdio,
        terminal: flags.tty === true,
      },
      { signal, onOutput: (stream, data) => context[stream].write(data) },
    );
  } finally {
    await removeTree(directory);
  }
}

/** With all layers, which is shown while it takes time; nothing more is shown then, for the terminal is the command's. */
async function fetchImage(
  { access }: Session,
  { image, flags }: { readonly image: string; readonly flags: RunFlags },
  context: CommandContext,
): Promise<ResolvedImage> {
  const progress = await startProgress(context, { mode: "auto", verb: "Pulled" });
  let isDone = false;
  try {
    const watched = { ...access, emit: progress.emit };
    const platform = choosePlatform(flags.platform);
    if (flags.pull === "never") findImage(access, image, platform);
    const resolved = await resolveImage(watched, image, { platform, pull: flags.pull === "always" });
    await Promise.all(resolved.layers.map((layer) => layer.load()));
    isDone = true;
    return resolved;
  } finally {
    progress.close(isDone);
  }
}

/** docker's statuses for what could not be started; the runtime has said why. */
function statusOf({ exitCode, runtimeMessage }: ContainerExit): number {
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
