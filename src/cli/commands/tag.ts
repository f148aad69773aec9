import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import { formatImageReference, parseImageReference, storeName } from "../../oci/reference.ts";
import { findTags, writeTag } from "../../store/images.ts";
import type { CommandContext } from "../command-context.ts";
import { findImage } from "../find-image.ts";
import { withSession } from "../with-session.ts";

export function defineTag(command: Command, context: CommandContext): void {
  command
    .argument("<source>", "a name or an image id")
    .argument("<name>", "the new name")
    .usage("SOURCE NAME[:TAG]")
    .action(async (source: string, name: string) => {
      await withSession(context, async ({ access }) => tagImage(access, source, name));
    });
}

/** Gives the new name to every platform that the old one has. */
function tagImage(access: ImageAccess, source: string, name: string): void {
  const target = parseImageReference(name);
  if (target.digest !== undefined) {
    throw new BuildError("option-invalid", `Cannot tag "${name}": a name with a digest cannot be given`);
  }
  const image = findImage(access, source);
  const sameName = isReference(source) ? findTags(access.store, storeName(parseImageReference(source))) : [];
  const tags = sameName.some((tag) => tag.configDigest === image.configDigest)
    ? sameName
    : [{ platform: image.platform, configDigest: image.configDigest }];
  for (const tag of tags) {
    writeTag(access.store, { ...tag, name: formatImageReference(target), updated: Date.now() });
  }
}

function isReference(text: string): boolean {
  return !/^(?:sha256:)?[0-9a-f]{64}$/.test(text);
}
