import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { openFile } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { splitImagePath } from "../split-image-path.ts";
import { withProgress } from "../with-session.ts";

export function defineCat(command: Command, context: CommandContext): void {
  command
    .argument("<file>", "IMAGE:/PATH")
    .usage("IMAGE:/PATH")
    .action(async (text: string) => {
      const { image, path } = splitImagePath(text);
      if (path === undefined) {
        throw new BuildError("option-invalid", `Cannot print "${text}": it names no file`, {
          hint: `Write ${text}:/PATH`,
        });
      }
      await withProgress(
        context,
        async (session) => {
          await pipeline(await openFile(session, image, { path }), context.stdout, { end: false });
        },
        { verb: "Fetched" },
      );
    });
}
