import type { Command } from "commander";
import { importImage } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { withSession } from "../with-session.ts";

interface ImportFlags {
  readonly change: readonly string[];
  readonly message?: string;
  readonly platform?: string;
}

export function defineImport(command: Command, context: CommandContext): void {
  command
    .argument("<file>", "a tar, plain or compressed with gzip, bzip2, xz or zstd, or its URL; - reads stdin")
    .argument("[name]", "NAME[:TAG] for the image")
    .usage("[OPTIONS] FILE|URL|- [NAME[:TAG]]")
    .addOption(
      makeOption("-c, --change <instruction>", 'like "ENV A=b", for the config', { isRepeatable: true }),
    )
    .addOption(makeOption("-m, --message <text>", "comment for the history"))
    .addOption(makeOption("--platform <platform>", "os/architecture[/variant]"))
    .action(async (file: string, name: string | undefined, { change, message, platform }: ImportFlags) => {
      const input = file === "-" ? context.stdin : file;
      const id = await withSession(context, (session) =>
        importImage(session, input, {
          name,
          changes: change,
          message,
          platform,
          onChanges: ({ file, text }) => context.sources.set(file, text),
        }),
      );
      context.stdout.write(`${id}\n`);
    });
}
