import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import type { CommandContext } from "../command-context.ts";
import { choosePlatform } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { addRegistryFlags, type RegistryFlags, readRegistryFlags } from "../registry-flags.ts";
import { withProgress } from "../with-session.ts";

interface CopyFlags extends RegistryFlags {
  readonly platform?: string;
  readonly referrers?: true;
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
    .addOption(
      makeOption("--referrers", "also what refers to it at its registry (signatures, SBOMs), as oras cp -r"),
    )
    .addOption(makeOption("-q, --quiet", "no progress"));
  addRegistryFlags(command);
  command.action(async (from: string, to: string, flags: CopyFlags) => {
    const { copyImage } = await import("../../export/copy-image.ts");
    const { parseCopyPlace, withCopySource, withCopyTarget } = await import("../copy-places.ts");
    const places = [parseCopyPlace(from), parseCopyPlace(to)] as const;
    if (flags.referrers && places.some(({ kind }) => kind !== "registry")) {
      throw new BuildError("option-invalid", "Cannot copy referrers: only from a registry to a registry");
    }
    const platform = flags.platform === undefined ? undefined : choosePlatform(flags.platform);
    const { digest } = await withProgress(
      context,
      ({ access }) =>
        withCopySource(access, { place: places[0], target: places[1] }, (source) =>
          withCopyTarget(access, places[1], (target) =>
            copyImage(source, target, {
              platform,
              withReferrers: flags.referrers,
              emit: access.emit,
              signal: access.signal,
            }),
          ),
        ),
      { registry: readRegistryFlags(context, flags), verb: "Copied", mode: flags.quiet ? "quiet" : "auto" },
    );
    context.stdout.write(`${digest}\n`);
  });
}
