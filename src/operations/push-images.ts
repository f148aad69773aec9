import { BuildError } from "../errors/build-error.ts";
import { EarlyUploads } from "../export/early-uploads.ts";
import { pushImage as pushRoot } from "../export/push-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { parseUntagged } from "../oci/parse-untagged.ts";
import { formatImageReference, parseImageReference, storeName } from "../oci/reference.ts";
import { findTags, listTags, writeTag } from "../store/images.ts";
import { openStoredRoot } from "./open-stored-manifest.ts";

/** What the registry has now. */
export interface PushedImage {
  /** Of its manifest, or of the index over several. */
  readonly descriptor: Descriptor;
  /** Its tag there, or its digest. */
  readonly tag: string;
}

/**
 * Sends what the store has under a name to its registry, for all platforms that the name has: one manifest, or an index over several.
 *
 * @param name `NAME[:TAG]`
 * @throws BuildError `image-not-found`, `authentication`, `registry`.
 */
export async function pushImage(access: ImageAccess, name: string): Promise<PushedImage> {
  const reference = parseImageReference(name);
  await using early = new EarlyUploads(access, { reference });
  const image = await openStoredRoot(access, name, early);
  await pushRoot(access, reference, { ...image, early });
  const { digest } = image.root;
  for (const stored of findTags(access.store, storeName(reference)))
    writeTag(access.store, { ...stored, targetDigest: digest });
  return { descriptor: image.root, tag: reference.tag ?? reference.digest! };
}

/** The same for all tags that the store has of a name, one after the other. Throws as `pushImage`. */
export async function* pushAllTags(access: ImageAccess, repository: string): AsyncGenerator<PushedImage> {
  const prefix = `${formatImageReference(parseUntagged(repository, "push"))}:`;
  const names = new Set(listTags(access.store).map(({ name }) => name));
  const found = [...names].filter((name) => name.startsWith(prefix));
  if (found.length === 0) {
    throw new BuildError("image-not-found", `Cannot push all tags of "${repository}": the store has none`);
  }
  for (const name of found) yield await pushImage(access, name);
}
