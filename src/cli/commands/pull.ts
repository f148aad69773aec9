import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import { pullImage } from "../../image/resolve-image.ts";
import { formatImageReference, type ImageReference, parseImageReference } from "../../oci/reference.ts";
import type { CommandContext } from "../command-context.ts";
import { choosePlatform } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { parseUntagged } from "../parse-untagged.ts";
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
    .action(async (name: string, options: PullOptions) => {
      const reference = options.allTags ? parseUntagged(name, "pull") : parseImageReference(name);
      const platform = choosePlatform(options.platform);
      await withProgress(
        context,
        async ({ access }) => {
          const wanted = options.allTags ? await findTags(access, reference) : [reference];
          for (const each of wanted) await pullImage(access, each, { platform, withLayers: true });
        },
        {
          registry: readRegistryFlags(context, options),
          verb: "Pulled",
          mode: options.quiet ? "quiet" : "auto",
        },
      );
      context.stdout.write(`${formatImageReference(reference)}\n`);
    });
}

/** Distribution spec 1.1, "Referrers Tag Schema": a list of signatures and the like is no image. */
const REFERRERS_TAG = /^sha256-[0-9a-f]{64}$/;

/** One reference for each tag of the repository. */
async function findTags(access: ImageAccess, reference: ImageReference): Promise<ImageReference[]> {
  const registry = await access.openRegistry();
  const found = await registry.listTags(reference, { signal: access.signal });
  const tags = found.filter((tag) => !REFERRERS_TAG.test(tag));
  if (tags.length > 0) return tags.map((tag) => ({ ...reference, tag }));
  const name = formatImageReference(reference);
  throw new BuildError("image-not-found", `Cannot pull all tags of "${name}": its registry has none`);
}
