import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { pushImage } from "../../export/push-image.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { formatImageReference, parseImageReference, storeName } from "../../oci/reference.ts";
import { findTags, listTags, writeTag } from "../../store/images.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { parseUntagged } from "../parse-untagged.ts";
import { addRegistryFlags, type RegistryFlags, readRegistryFlags } from "../registry-flags.ts";
import { openStoredRoot } from "../stored-manifests.ts";
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
    .action(async (name: string, options: PushFlags) => {
      await withProgress(
        context,
        async ({ access }) => {
          for (const each of options.allTags ? listTagsOf(access, name) : [name]) {
            const { descriptor, tag } = await push(access, each);
            if (options.quiet) continue;
            context.stdout.write(`${tag}: digest: ${descriptor.digest} size: ${descriptor.size}\n`);
          }
          if (options.quiet) context.stdout.write(`${fullName(name, options)}\n`);
        },
        {
          registry: readRegistryFlags(context, options),
          verb: "Pushed",
          mode: options.quiet ? "quiet" : "auto",
        },
      );
    });
}

function fullName(name: string, { allTags }: PushFlags): string {
  return formatImageReference(allTags ? parseUntagged(name, "push") : parseImageReference(name));
}

/** The full names under a repository. */
function listTagsOf(access: ImageAccess, text: string): readonly string[] {
  const prefix = `${formatImageReference(parseUntagged(text, "push"))}:`;
  const names = new Set(listTags(access.store).map(({ name }) => name));
  const found = [...names].filter((name) => name.startsWith(prefix));
  if (found.length > 0) return found;
  throw new BuildError("image-not-found", `Cannot push all tags of "${text}": the store has none`);
}

/** All platforms that the name has: one manifest, or an index over several. */
async function push(
  access: ImageAccess,
  name: string,
): Promise<{ readonly descriptor: Descriptor; readonly tag: string }> {
  const reference = parseImageReference(name);
  const image = await openStoredRoot(access, name);
  await pushImage(access, reference, image);
  const { digest } = image.root;
  for (const stored of findTags(access.store, storeName(reference)))
    writeTag(access.store, { ...stored, targetDigest: digest });
  return { descriptor: image.root, tag: reference.tag ?? reference.digest! };
}
