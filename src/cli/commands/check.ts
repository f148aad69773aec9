import type { Command } from "commander";
import { addBuildOptions } from "../add-build-options.ts";
import type { BuildFlags } from "../build-flags.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { parseFormat } from "../parse-call.ts";
import { runBuild } from "./build.ts";

const HELP = `
Exit status: 1 when something was found. "# check=skip=RULE" above an instruction, or at the top of the
file, leaves a check out.
`;

/** What a look at a Dockerfile needs of the options of `build`. */
const SHOWN = ["--file", "--build-arg", "--build-context", "--platform", "--target", "--pull"];

export function defineCheck(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS] DIRECTORY | URL | -")
    .argument("<context>", "the build context")
    .addHelpText("after", HELP)
    .addOption(makeOption("--format <format>", "text or json"));
  addBuildOptions(command, { shown: SHOWN, left: ["--check", "--call"] });
  command.action(
    (directory: string, { format = "text", ...flags }: BuildFlags & { readonly format?: string }) =>
      runBuild(
        directory,
        { ...flags, call: `check,format=${parseFormat(format) ? "json" : "text"}` },
        context,
      ),
  );
}
