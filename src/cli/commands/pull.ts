import type { Command } from "commander";
import { BuildError, type BuildErrorCode } from "../../errors/build-error.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import { pullImage } from "../../image/resolve-image.ts";
import { formatPlatform, type Platform } from "../../oci/platform.ts";
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
          if (options.allTags) await pullAllTags(access, reference, platform);
          else await pullImage(access, reference, { platform, withLayers: true });
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

const LEFT_OUT: ReadonlySet<BuildErrorCode> = new Set(["not-image", "image-not-found"]);

/**
 * Tags of signatures and other artifacts, of images for other platforms, and of what is gone are passed over with a note. DIFFERS: docker
 * stops at the first of them.
 */
async function pullAllTags(access: ImageAccess, name: ImageReference, platform: Platform): Promise<void> {
  const registry = await access.openRegistry();
  const tags = await registry.listTags(name, { signal: access.signal });
  let count = 0;
  for (const tag of tags.filter((tag) => !REFERRERS_TAG.test(tag))) {
    try {
      await pullImage(access, { ...name, tag }, { platform, withLayers: true });
      count++;
    } catch (error) {
      if (!(error instanceof BuildError) || !LEFT_OUT.has(error.code)) throw error;
      access.emit({ kind: "note", time: Date.now(), message: `Left out: ${error.message}` });
    }
  }
  if (count > 0) return;
  const action = `Cannot pull all tags of "${formatImageReference(name)}"`;
  throw new BuildError(
    "image-not-found",
    `${action}: its registry has no image of that name for ${formatPlatform(platform)}`,
  );
}
