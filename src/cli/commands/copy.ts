import type { Command } from "commander";
import type { CommandContext } from "../command-context.ts";
import { choosePlatform } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { addRegistryFlags, type RegistryFlags, readRegistryFlags } from "../registry-flags.ts";
import { withProgress } from "../with-session.ts";

interface CopyFlags extends RegistryFlags {
  readonly platform?: string;
  readonly quiet?: true;
}

export function defineCopy(command: Command, context: CommandContext): void {
  command
    .argument(
      "<source>",
      "NAME[:TAG|@DIGEST] at a registry, oci:DIRECTORY[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME:TAG]",
    )
    .argument("<target>", "the same")
    .usage("[OPTIONS] SOURCE TARGET")
    .addOption(makeOption("--platform <platform>", "only one of an image for several (default: all)"))
    .addOption(makeOption("-q, --quiet", "no progress"));
  addRegistryFlags(command);
  command.action(async (from: string, to: string, flags: CopyFlags) => {
    const { copyImage } = await import("../../export/copy-image.ts");
    const { parseCopyPlace, withCopySource, withCopyTarget } = await import("../copy-places.ts");
    const places = [parseCopyPlace(from), parseCopyPlace(to)] as const;
    const platform = flags.platform === undefined ? undefined : choosePlatform(flags.platform);
    const { digest } = await withProgress(
      context,
      ({ access }) =>
        withCopySource(access, places[0], (source) =>
          withCopyTarget(access, places[1], (target) =>
            copyImage(source, target, { platform, emit: access.emit, signal: access.signal }),
          ),
        ),
      { registry: readRegistryFlags(context, flags), verb: "Copied", mode: flags.quiet ? "quiet" : "auto" },
    );
    context.stdout.write(`${digest}\n`);
  });
}
