import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { saveImages } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { withProgress } from "../with-session.ts";

interface SaveOptions {
  readonly output?: string;
  readonly platform?: string;
}

export function defineSave(command: Command, context: CommandContext): void {
  command
    .argument("<images...>", "names or ids")
    .usage("[OPTIONS] IMAGE...")
    .addOption(makeOption("-o, --output <file>", "where to (default: stdout)"))
    .addOption(makeOption("--platform <platform>", "which one of images for several"))
    .action(async (names: readonly string[], { output, platform }: SaveOptions) => {
      if (output === undefined && context.stdout.isTTY) {
        throw new BuildError("option-invalid", "Cannot write the archive to stdout: it is a terminal", {
          hint: "Add -o FILE, or redirect stdout",
        });
      }
      const target = { output: output ?? context.stdout, platform };
      await withProgress(context, (session) => saveImages(session, names, target), { verb: "Saved" });
    });
}
