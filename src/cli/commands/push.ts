import type { Command } from "commander";
import { pushImage } from "../../export/push-image.ts";
import { writeIndexOrManifest } from "../../image/assemble-image.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { formatImageReference, parseImageReference } from "../../oci/reference.ts";
import { findImage as findStoredImage, findTags } from "../../store/images.ts";
import type { CommandContext } from "../command-context.ts";
import { findImage } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { addRegistryFlags, type RegistryFlags, readRegistryFlags } from "../registry-flags.ts";
import { openStoredManifest } from "../stored-manifests.ts";
import { withProgress } from "../with-session.ts";

export function definePush(command: Command, context: CommandContext): void {
  addRegistryFlags(command);
  command
    .argument("<name>", "NAME[:TAG]")
    .usage("[OPTIONS] NAME[:TAG]")
    .addOption(makeOption("-q, --quiet", "no progress"))
    .action(async (name: string, options: RegistryFlags & { readonly quiet?: true }) => {
      const { descriptor, tag } = await withProgress(context, ({ access }) => push(access, name), {
        registry: readRegistryFlags(context, options),
        verb: "Pushed",
        mode: options.quiet ? "quiet" : "auto",
      });
      context.stdout.write(`${tag}: digest: ${descriptor.digest} size: ${descriptor.size}\n`);
    });
}

/** All platforms that the name has: one manifest, or an index over several. */
async function push(
  access: ImageAccess,
  name: string,
): Promise<{ readonly descriptor: Descriptor; readonly tag: string }> {
  const reference = parseImageReference(name);
  const tags = findTags(access.store, formatImageReference(reference));
  const images = [...new Set(tags.map((tag) => tag.configDigest))].map(
    (id) => findStoredImage(access.store, id)!,
  );
  if (images.length === 0) images.push(findImage(access, name));
  const manifests = await Promise.all(images.map((image) => openStoredManifest(access, image, name)));
  const descriptor = await writeIndexOrManifest(access, manifests, { dockerTypes: true });
  await pushImage(access, reference, { root: descriptor, manifests });
  return { descriptor, tag: reference.tag ?? reference.digest! };
}
