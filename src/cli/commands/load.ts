import { createReadStream } from "node:fs";
import { mkdtemp, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { removeTree } from "../../store/remove-tree.ts";
import type { CommandContext } from "../command-context.ts";
import { choosePlatform } from "../find-image.ts";
import { loadImages } from "../load-images.ts";
import { makeOption } from "../make-option.ts";
import { unpackArchive } from "../unpack-archive.ts";
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
      const lines = await withProgress(
        context,
        async ({ access }) => {
          const platform = choosePlatform(options.platform);
          const { input } = options;
          if (input !== undefined && (await isDirectory(input)))
            return loadImages(access, { directory: input, name: input, platform });
          const directory = await mkdtemp(join(access.store.temporaryDirectory, "load-"));
          try {
            const archive = input === undefined ? context.stdin : createReadStream(input);
            const name = input ?? "stdin";
            await unpackArchive(archive, { directory, name, limits: access.limits, signal: access.signal });
            return await loadImages(access, { directory, name, platform });
          } finally {
            await removeTree(directory);
          }
        },
        { verb: "Loaded", mode: options.quiet ? "quiet" : "auto" },
      );
      context.stdout.write(lines.map((line) => `${line}\n`).join(""));
    });
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const what = code === "ENOENT" ? "there is no such file" : message;
    throw new BuildError("option-invalid", `Cannot load "${path}": ${what}`);
  }
}
