import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { copyFromContainer } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { withProgress } from "../with-session.ts";

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
      const request = {
        path,
        destination: destination === "-" ? context.stdout : destination,
        followLink: options.followLink,
        keepOwners: options.archive,
      };
      await withProgress(context, (session) => copyFromContainer(session, name, request), {
        verb: "Fetched",
      });
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
