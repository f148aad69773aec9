import type { Command } from "commander";
import { pullAllTags, pullImage, type Session } from "../../index.ts";
import { parseUntagged } from "../../oci/parse-untagged.ts";
import { formatImageReference, parseImageReference } from "../../oci/reference.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { addRegistryFlags, type RegistryFlags, readRegistryFlags } from "../registry-flags.ts";
import { withProgress } from "../with-session.ts";

interface PullOptions extends RegistryFlags {
  readonly platform?: string;
  readonly allTags?: true;
  readonly quiet?: true;
}

export function definePull(command: Command, context: CommandContext): void {
  addRegistryFlags(command);
  command
    .argument("<name>", "NAME[:TAG|@DIGEST]")
    .usage("[OPTIONS] NAME[:TAG|@DIGEST]")
    .addOption(makeOption("--platform <platform>", "os/architecture[/variant]"))
    .addOption(makeOption("-a, --all-tags", "all tags that the registry has of the name"))
    .addOption(makeOption("-q, --quiet", "no progress"))
    .addOption(makeOption("--disable-content-trust", "has no effect", { isHidden: true }))
    .action(async (name: string, { allTags, platform, quiet, ...flags }: PullOptions) => {
      const reference = allTags ? parseUntagged(name, "pull") : parseImageReference(name);
      const pull = async (session: Session) => {
        if (allTags) await pullAllTags(session, name, { platform });
        else await pullImage(session, name, { platform });
      };
      const registry = readRegistryFlags(context, flags);
      await withProgress(context, pull, { registry, verb: "Pulled", mode: quiet ? "quiet" : "auto" });
      context.stdout.write(`${formatImageReference(reference)}\n`);
    });
}
