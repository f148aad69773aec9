import type { Command } from "commander";
import { pullImage } from "../../image/resolve-image.ts";
import { formatImageReference, parseImageReference } from "../../oci/reference.ts";
import type { CommandContext } from "../command-context.ts";
import { choosePlatform } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { addRegistryFlags, type RegistryFlags, readRegistryFlags } from "../registry-flags.ts";
import { withProgress } from "../with-session.ts";

interface PullOptions extends RegistryFlags {
  readonly platform?: string;
  readonly quiet?: true;
}

export function definePull(command: Command, context: CommandContext): void {
  addRegistryFlags(command);
  command
    .argument("<name>", "NAME[:TAG|@DIGEST]")
    .usage("[OPTIONS] NAME[:TAG|@DIGEST]")
    .addOption(makeOption("--platform <platform>", "os/architecture[/variant]"))
    .addOption(makeOption("-q, --quiet", "no progress"))
    .addOption(makeOption("--disable-content-trust", "has no effect", { isHidden: true }))
    .action(async (name: string, options: PullOptions) => {
      const reference = parseImageReference(name);
      const platform = choosePlatform(options.platform);
      await withProgress(
        context,
        ({ access }) => pullImage(access, reference, { platform, withLayers: true }),
        {
          registry: readRegistryFlags(context, options),
          verb: "Pulled",
          mode: options.quiet ? "quiet" : "auto",
        },
      );
      context.stdout.write(`${formatImageReference(reference)}\n`);
    });
}
