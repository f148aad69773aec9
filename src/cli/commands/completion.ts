import { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { hintNearest } from "../../errors/suggest-nearest.ts";
import type { CommandContext } from "../command-context.ts";
import { COMMANDS } from "../command-table.ts";
import { type CompletionEntry, formatCompletion, SHELLS } from "../format-completion.ts";
import { makeGlobalOptions } from "../global-options.ts";
import { makeOption } from "../make-option.ts";

const HELP = `
Examples:
  slipway completion bash > /etc/bash_completion.d/slipway
  slipway completion zsh > "\${fpath[1]}/_slipway"
  slipway completion fish > ~/.config/fish/completions/slipway.fish
`;

export function defineCompletion(command: Command, context: CommandContext): void {
  command
    .usage("bash | zsh | fish")
    .argument("<shell>", "bash, zsh or fish")
    .addHelpText("after", HELP)
    .action(async (name: string) => {
      const shell = SHELLS.find((known) => known === name);
      if (shell === undefined) {
        throw new BuildError("option-invalid", `Cannot complete for "${name}": there is no such shell`, {
          hint: hintNearest(name, SHELLS) ?? `Shells are ${SHELLS.join(", ")}`,
        });
      }
      context.stdout.write(formatCompletion(shell, await listEntries(context)));
    });
}

/** Every command with its options, as `--help` has them. */
async function listEntries(context: CommandContext): Promise<CompletionEntry[]> {
  const entries = await Promise.all(
    COMMANDS.map(async ({ name, summary, load }) => {
      // In a program, as the command line has it: some commands look at their parents.
      const command = new Command("slipway")
        .enablePositionalOptions()
        .command(name)
        .enablePositionalOptions();
      (await load())(command, context);
      return [
        describeEntry(command, [name], summary),
        ...command.commands.map((inner) => describeEntry(inner, [name, inner.name()], inner.description())),
      ];
    }),
  );
  const program = new Command("slipway").version("", "-v, --version", "print the version");
  for (const option of makeGlobalOptions()) program.addOption(option);
  return [describeEntry(program, [], ""), ...entries.flat()];
}

function describeEntry(command: Command, words: readonly string[], summary: string): CompletionEntry {
  return {
    words,
    summary,
    options: [...command.options, makeOption("-h, --help", "print help")]
      .filter(({ hidden }) => !hidden)
      .map(({ long, short, description, required }) => ({
        names: [long, short].filter((one) => one !== undefined),
        summary: description,
        hasValue: required,
      })),
  };
}
