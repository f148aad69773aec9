import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { type LayoutImage, writeLayoutArchive, writeLayoutFile } from "../../export/write-layout.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Platform } from "../../oci/platform.ts";
import { formatImageReference, type ImageReference, parseImageReference } from "../../oci/reference.ts";
import { listTags, type StoredImage } from "../../store/images.ts";
import type { CommandContext } from "../command-context.ts";
import { choosePlatform, findImage } from "../find-image.ts";
import { makeOption } from "../make-option.ts";
import { openStoredManifest } from "../stored-manifests.ts";
import { withProgress } from "../with-session.ts";

interface SaveOptions {
  readonly output?: string;
  readonly platform?: string;
}

export function defineSave(command: Command, context: CommandContext): void {
  command
    .argument("<images...>", "names or ids")
    .usage("[OPTIONS] IMAGE...")
    .addOption(makeOption("-o, --output <file>", "where to (default: stdout)"))
    .addOption(makeOption("--platform <platform>", "which one of images for several"))
    .action(async (names: readonly string[], { output, platform }: SaveOptions) => {
      if (output === undefined && context.stdout.isTTY) {
        throw new BuildError("option-invalid", "Cannot write the archive to stdout: it is a terminal", {
          hint: "Add -o FILE, or redirect stdout",
        });
      }
      await withProgress(
        context,
        async ({ access }) => {
          const wanted = platform === undefined ? undefined : choosePlatform(platform);
          const layout = { images: await openImages(access, names, wanted), forDocker: true };
          if (output === undefined) await writeLayoutArchive(access, context.stdout, layout);
          else await writeLayoutFile(access, output, layout);
        },
        { verb: "Saved" },
      );
    });
}

/** Each image once, with all the names that it was asked for by. */
async function openImages(
  access: ImageAccess,
  texts: readonly string[],
  platform: Platform | undefined,
): Promise<LayoutImage[]> {
  const images = new Map<Digest, { text: string; image: StoredImage; names: ImageReference[] }>();
  for (const text of texts.flatMap((text) => expandName(access, text))) {
    const image = findImage(access, text, platform);
    const known = images.get(image.configDigest) ?? { text, image, names: [] };
    images.set(image.configDigest, known);
    // As docker has it: what is asked for by its digest has no name in the archive.
    known.names.push(...asReference(text).filter(({ digest }) => digest === undefined));
  }
  return Promise.all(
    [...images.values()].map(async ({ text, image, names }) => {
      const manifest = await openStoredManifest(access, image, text, { isLocal: true });
      const { platform: _, ...root } = manifest.descriptor;
      return { root, manifests: [manifest], names };
    }),
  );
}

/** A name without a tag stands for all its tags, as docker has it. */
function expandName({ store }: ImageAccess, text: string): readonly string[] {
  const [reference] = asReference(text);
  if (reference === undefined || reference.digest !== undefined || hasTag(text)) return [text];
  const { tag: _, ...untagged } = reference;
  const prefix = `${formatImageReference(untagged)}:`;
  const tags = new Set(listTags(store).map(({ name }) => name));
  const found = [...tags].filter((name) => name.startsWith(prefix));
  return found.length === 0 ? [text] : found;
}

function hasTag(text: string): boolean {
  return text.lastIndexOf(":") > text.lastIndexOf("/");
}

/** An id gives the archive no name. */
function asReference(text: string): ImageReference[] {
  return /^(?:sha256:)?[0-9a-f]{12,64}$/.test(text) ? [] : [parseImageReference(text)];
}
