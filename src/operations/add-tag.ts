import { BuildError } from "../errors/build-error.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { formatImageReference, parseImageReference, storeName } from "../oci/reference.ts";
import { findTags, writeTag } from "../store/images.ts";
import { findImage } from "./find-image.ts";

/**
 * Gives an image of the store another name, for every platform that the old one has.
 *
 * @param source a name or an id.
 * @throws BuildError `image-not-found`; `option-invalid` for what cannot be a tag.
 */
export function addTag(access: ImageAccess, source: string, name: string): void {
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
