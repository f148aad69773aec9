import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { findImage } from "../../store/images.ts";
import type { CommandContext } from "../command-context.ts";
import { copyTreeOut } from "../copy-tree-out.ts";
import { findNamedContainer } from "../find-container.ts";
import { makeOption } from "../make-option.ts";
import { findPath, openImageTree } from "../open-image-tree.ts";
import { withProgress } from "../with-session.ts";
import { writeTreeTar } from "../write-tree-tar.ts";

interface CpOptions {
  readonly followLink?: true;
  readonly archive?: true;
}

export function defineContainerCp(command: Command, context: CommandContext): void {
  command
    .argument("<source>", "CONTAINER:PATH")
    .argument("<destination>", "a file or directory; - writes a tar to stdout")
    .usage("[OPTIONS] CONTAINER:PATH DESTINATION|-")
    .addOption(makeOption("-L, --follow-link", "a link as source means what it points to"))
    .addOption(makeOption("-a, --archive", "keep owners"))
    .addOption(makeOption("-q, --quiet", "has no effect", { isHidden: true }))
    .action(async (source: string, destination: string, options: CpOptions) => {
      const [, name, path] = /^([^:/]+):(.+)$/s.exec(source) ?? [];
      if (name === undefined || path === undefined) throw refuseDirection(source, destination);
      if (destination === "-" && context.stdout.isTTY) {
        throw new BuildError("option-invalid", "Cannot write a tar to stdout: it is a terminal", {
          hint: "Redirect stdout, or name a destination",
        });
      }
      await withProgress(
        context,
        async ({ access }) => {
          const container = findNamedContainer(access.store, name);
          const image = findImage(access.store, container.configDigest);
          if (image === undefined)
            throw new Error(`the image of the container ${name} is gone from the store`);
          using tree = await openImageTree(access, image, image.configDigest);
          // A slash at the end means what a link points to, too.
          const followLast = options.followLink === true || /\/\.?$/.test(path);
          const found = findPath(tree, path, { name, followLast });
          const request = { found, path, signal: access.signal };
          if (destination === "-") await writeTreeTar(tree, request, context.stdout);
          else await copyTreeOut(tree, { ...request, destination, keepOwners: options.archive === true });
        },
        { verb: "Fetched" },
      );
    });
}

function refuseDirection(source: string, destination: string): BuildError {
  if (/^[^:/]+:/.test(destination)) {
    return new BuildError(
      "unsupported",
      `Cannot copy to "${destination}": only copies out of containers are there`,
      {
        hint: "Change an image with a Dockerfile: COPY",
      },
    );
  }
  return new BuildError("option-invalid", `Cannot copy from "${source}": it is not CONTAINER:PATH`);
}
