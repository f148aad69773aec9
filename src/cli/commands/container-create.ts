import type { Command } from "commander";
import { createContainer } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { withProgress } from "../with-session.ts";

interface CreateOptions {
  readonly name?: string;
  readonly platform?: string;
}

export function defineContainerCreate(command: Command, context: CommandContext): void {
  command
    .argument("<image>", "a name or an id; pulled when it is not here")
    .argument("[command...]", "has no effect: the container never runs")
    .usage("[OPTIONS] IMAGE [COMMAND] [ARG...]")
    .passThroughOptions()
    .addOption(makeOption("--name <name>", "name for the container (default: its id)"))
    .addOption(makeOption("--platform <platform>", "os/architecture[/variant]"))
    .action(async (image: string, _command: readonly string[], options: CreateOptions) => {
      const { name, platform } = options;
      const id = await withProgress(
        context,
        (session) => createContainer(session, image, { name, platform }),
        {
          verb: "Pulled",
        },
      );
      context.stdout.write(`${id}\n`);
    });
}
