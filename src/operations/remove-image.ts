import { BuildError } from "../errors/build-error.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { Digest } from "../oci/digest.ts";
import { familiarName, familiarRepository, parseImageReference, storeName } from "../oci/reference.ts";
import { listContainers, removeContainer } from "../store/containers.ts";
import {
  findTags,
  type ImageTag,
  listTags,
  removeImage as removeStoredImage,
  removeTag,
  type StoredImage,
} from "../store/images.ts";
import { findImage } from "./find-image.ts";

/** What is gone from the store. Layers stay in the cache. */
export interface RemovedImages {
  /** Names as docker shows them, and each `NAME@DIGEST` that no name leads to any more. */
  readonly untagged: readonly string[];
  /** Ids of the images. */
  readonly deleted: readonly Digest[];
}

/**
 * By name: removes that name, and the image with its last one. By id: the image, if it has one name at most.
 *
 * @throws BuildError `image-not-found`; `not-permitted` when it has more names, or a container stands on it, unless `force` is set.
 */
export function removeImage(
  access: ImageAccess,
  text: string,
  { force = false }: { readonly force?: boolean } = {},
): RemovedImages {
  const { store } = access;
  const image = findImage(access, text);
  const tags = listTags(store).filter((tag) => tag.configDigest === image.configDigest);
  const names = [...new Set(tags.map((tag) => tag.name))];
  const name = nameOf(access, text);
  const goesWhole = name === undefined || (names.length === 1 && names[0] === name);
  if (name === undefined && names.length > 1 && !force) {
    const shown = names.map((one) => familiarName(parseImageReference(one))).join(", ");
    throw new BuildError("not-permitted", `Cannot remove "${text}": the image has ${names.length} names`, {
      hint: `Remove one of them (${shown}), or all with --force`,
    });
  }
  if (goesWhole) freeContainers(access, image, { text, force });
  const removedNames = name === undefined ? names : [name];
  const untagged = [
    ...removedNames.map((one) => familiarName(parseImageReference(one))),
    ...listLostDigests(tags, removedNames),
  ];
  if (name === undefined) {
    removeStoredImage(store, image.configDigest);
    return { untagged, deleted: [image.configDigest] };
  }
  return { untagged, deleted: removeTag(store, name).images };
}

/** The `NAME@DIGEST` that no name leads to any more. */
function listLostDigests(tags: readonly ImageTag[], removedNames: readonly string[]): string[] {
  const isRemoved = (tag: ImageTag) => removedNames.includes(tag.name);
  const digestsOf = (some: readonly ImageTag[]) =>
    new Set(
      some.flatMap(({ name, targetDigest }) => {
        const reference = parseImageReference(name);
        const isPlain = targetDigest !== undefined && reference.digest === undefined;
        return isPlain ? `${familiarRepository(reference)}@${targetDigest}` : [];
      }),
    );
  const left = digestsOf(tags.filter((tag) => !isRemoved(tag)));
  return [...digestsOf(tags.filter(isRemoved))].filter((digest) => !left.has(digest));
}

/** The full name when the text is one that the store has; undefined for an id. */
function nameOf({ store }: ImageAccess, text: string): string | undefined {
  if (/^(?:sha256:)?[0-9a-f]{64}$/.test(text)) return undefined;
  const name = storeName(parseImageReference(text));
  return findTags(store, name).length === 0 ? undefined : name;
}

function freeContainers(
  { store }: ImageAccess,
  { configDigest }: StoredImage,
  { text, force }: { readonly text: string; readonly force: boolean },
): void {
  const containers = listContainers(store).filter((container) => container.configDigest === configDigest);
  if (containers.length > 0 && !force) {
    const names = containers.map(({ name }) => name).join(", ");
    throw new BuildError("not-permitted", `Cannot remove "${text}": the container ${names} stands on it`, {
      hint: "Remove the container first, or both with --force",
    });
  }
  for (const { id } of containers) removeContainer(store, id);
}
