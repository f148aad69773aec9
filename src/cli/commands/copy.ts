import type { Command } from "commander";
import { copyImage } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
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
  command.action(async (from: string, to: string, { platform, referrers, quiet, ...flags }: CopyFlags) => {
    const { digest } = await withProgress(
      context,
      (session) => copyImage(session, { from, to }, { platform, withReferrers: referrers }),
      { registry: readRegistryFlags(context, flags), verb: "Copied", mode: quiet ? "quiet" : "auto" },
    );
    context.stdout.write(`${digest}\n`);
  });
}
