import { createReadStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
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
    .addOption(makeOption("-i, --input <file>", "an OCI or docker archive (default: stdin)"))
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
          const directory = await mkdtemp(join(access.store.temporaryDirectory, "load-"));
          try {
            const archive = options.input === undefined ? context.stdin : createReadStream(options.input);
            const name = options.input ?? "stdin";
            await unpackArchive(archive, { directory, name, limits: access.limits, signal: access.signal });
            const platform = choosePlatform(options.platform);
            return await loadImages(access, { directory, name, platform });
          } finally {
            await rm(directory, { recursive: true, force: true });
          }
        },
        { verb: "Loaded", mode: options.quiet ? "quiet" : "auto" },
      );
      context.stdout.write(lines.map((line) => `${line}\n`).join(""));
    });
}
