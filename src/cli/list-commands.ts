import { Command } from "commander";
import type { CommandContext } from "./command-context.ts";
import { COMMANDS } from "./command-table.ts";
import { makeGlobalOptions } from "./global-options.ts";
import { makeOption } from "./make-option.ts";

/** A command, as completions and the reference tell of it. */
export interface CommandDescription {
  /** `["container", "ls"]`; `[]` for what stands before a command. */
  readonly words: readonly string[];
  /** What follows the words: `[OPTIONS] IMAGE`. */
  readonly usage: string;
  readonly summary: string;
  readonly options: readonly OptionDescription[];
}

export interface OptionDescription {
  /** `-t, --tag <name>` */
  readonly flags: string;
  readonly names: readonly string[];
  readonly summary: string;
  readonly hasValue: boolean;
  /** All values that it may have, where they are few. */
  readonly values: readonly string[];
  /** Not in `--help`. */
  readonly isHidden: boolean;
}

/** Every command with its options, from the tables that `--help` is made of; the program itself first. */
export async function listCommands(context: CommandContext): Promise<CommandDescription[]> {
  const commands = await Promise.all(
    COMMANDS.map(async ({ name, summary, load }) => {
      // In a program, as the command line has it: some commands look at their parents.
      const command = new Command("slipway")
        .enablePositionalOptions()
        .command(name)
        .enablePositionalOptions();
      (await load())(command, context);
      return [
        describe(command, [name], summary),
        ...command.commands.map((inner) => describe(inner, [name, inner.name()], inner.description())),
      ];
    }),
  );
  const program = new Command("slipway").version("", "-v, --version", "print the version");
  for (const option of makeGlobalOptions()) program.addOption(option);
  return [describe(program, [], ""), ...commands.flat()];
}

function describe(command: Command, words: readonly string[], summary: string): CommandDescription {
  return {
    words,
    usage: command.usage(),
    summary,
    options: [...command.options, makeOption("-h, --help", "print help")].map((option) => ({
      flags: option.flags,
      names: [option.long, option.short].filter((one) => one !== undefined),
      summary: option.description,
      hasValue: option.required,
      values: option.argChoices ?? [],
      isHidden: option.hidden,
    })),
  };
}
