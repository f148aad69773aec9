import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { loadImages } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { withProgress } from "../with-session.ts";

interface LoadOptions {
  readonly input?: string;
  readonly quiet?: true;
  readonly platform?: string;
}

export function defineLoad(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS]")
    .addOption(
      makeOption(
        "-i, --input <file>",
        "an OCI or docker archive, or a directory with an OCI layout (default: stdin)",
      ),
    )
    .addOption(makeOption("-q, --quiet", "no progress"))
    .addOption(makeOption("--platform <platform>", "which one of an image for several"))
    .action(async (options: LoadOptions) => {
      if (options.input === undefined && context.stdin.isTTY) {
        throw new BuildError("option-invalid", "Cannot load from a terminal: nobody types archives", {
          hint: "Add -i FILE",
        });
      }
      const { input = context.stdin, platform, quiet } = options;
      const loaded = await withProgress(context, (session) => loadImages(session, input, { platform }), {
        verb: "Loaded",
        mode: quiet ? "quiet" : "auto",
      });
      // In docker's words.
      const lines = loaded.flatMap(({ id, names }) =>
        names.length === 0 ? [`Loaded image ID: ${id}\n`] : names.map((name) => `Loaded image: ${name}\n`),
      );
      context.stdout.write(lines.join(""));
    });
}
