import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { hintNearest } from "../../errors/suggest-nearest.ts";
import type { CommandContext } from "../command-context.ts";
import { formatCompletion, SHELLS } from "../format-completion.ts";
import { listCommands } from "../list-commands.ts";

export function defineCompletion(command: Command, context: CommandContext): void {
  command
    .usage("bash | zsh | fish")
    .argument("<shell>", "bash, zsh or fish")
    .action(async (name: string) => {
      const shell = SHELLS.find((known) => known === name);
      if (shell === undefined) {
        throw new BuildError("option-invalid", `Cannot complete for "${name}": there is no such shell`, {
          hint: hintNearest(name, SHELLS) ?? `Shells are ${SHELLS.join(", ")}`,
        });
      }
      context.stdout.write(formatCompletion(shell, await listCommands(context)));
    });
}
