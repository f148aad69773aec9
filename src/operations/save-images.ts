import type { Writable } from "node:stream";
import { type LayoutImage, writeLayoutArchive, writeLayoutFile } from "../export/write-layout.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { Digest } from "../oci/digest.ts";
import { formatImageReference, type ImageReference, parseImageReference } from "../oci/reference.ts";
import { listTags, type StoredImage } from "../store/images.ts";
import { findImage, type PlatformChoice } from "./find-image.ts";
import { openStoredManifest } from "./open-stored-manifest.ts";

/**
 * Writes images as one archive that is an OCI layout and a docker archive; what of them is missing is fetched.
 *
 * @param names names or ids; a name without a tag stands for all its tags.
 * @throws BuildError `image-not-found`.
 */
export async function saveImages(
  access: ImageAccess,
  names: readonly string[],
  { output, ...choice }: PlatformChoice & { readonly output: string | Writable },
): Promise<void> {
  const layout = { images: await openImages(access, names, choice), forDocker: true };
  if (typeof output === "string") await writeLayoutFile(access, output, layout);
  else await writeLayoutArchive(access, output, layout);
}

/** Each image once, with all the names that it was asked for by. */
async function openImages(
  access: ImageAccess,
  texts: readonly string[],
  choice: PlatformChoice | undefined,
): Promise<LayoutImage[]> {
  const images = new Map<Digest, { text: string; image: StoredImage; names: ImageReference[] }>();
  for (const text of texts.flatMap((text) => expandName(access, text))) {
    const image = findImage(access, text, choice);
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
