import type { Command } from "commander";
import { pushAllTags, pushImage, type Session } from "../../index.ts";
import { parseUntagged } from "../../oci/parse-untagged.ts";
import { formatImageReference, parseImageReference } from "../../oci/reference.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { addRegistryFlags, type RegistryFlags, readRegistryFlags } from "../registry-flags.ts";
import { withProgress } from "../with-session.ts";

interface PushFlags extends RegistryFlags {
  readonly allTags?: true;
  readonly quiet?: true;
}

export function definePush(command: Command, context: CommandContext): void {
  addRegistryFlags(command);
  command
    .argument("<name>", "NAME[:TAG]")
    .usage("[OPTIONS] NAME[:TAG]")
    .addOption(makeOption("-a, --all-tags", "all tags of the name that the store has"))
    .addOption(makeOption("-q, --quiet", "only the name, on stdout"))
    .addOption(makeOption("--disable-content-trust", "has no effect", { isHidden: true }))
    .action(async (name: string, { allTags, quiet, ...flags }: PushFlags) => {
      const push = async (session: Session) => {
        const pushed = allTags ? pushAllTags(session, name) : [await pushImage(session, name)];
        for await (const { tag, descriptor } of pushed) {
          if (!quiet) context.stdout.write(`${tag}: digest: ${descriptor.digest} size: ${descriptor.size}\n`);
        }
        if (quiet) context.stdout.write(`${fullName(name, allTags === true)}\n`);
      };
      const registry = readRegistryFlags(context, flags);
      await withProgress(context, push, { registry, verb: "Pushed", mode: quiet ? "quiet" : "auto" });
    });
}

function fullName(name: string, allTags: boolean): string {
  return formatImageReference(allTags ? parseUntagged(name, "push") : parseImageReference(name));
}
