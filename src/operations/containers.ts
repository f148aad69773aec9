import { randomBytes } from "node:crypto";
import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { resolveImage } from "../image/resolve-image.ts";
import { parseWantedPlatform } from "../oci/machine-platform.ts";
import { familiarName, parseImageReference } from "../oci/reference.ts";
import {
  findContainer as findStoredContainer,
  listContainers as listStoredContainers,
  removeContainer as removeStoredContainer,
  type StoredContainer,
  writeContainer,
} from "../store/containers.ts";
import { listTags } from "../store/images.ts";
import type { PlatformChoice } from "./find-image.ts";

/** A name for an image's files, to copy from; it never runs. */
export interface Container extends StoredContainer {
  /** A name of its image, as docker shows it; absent when that has none. */
  readonly image?: string;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/**
 * Names an image's files; its layers are fetched where they are missing.
 *
 * @param image a name or an id; pulled when it is not here.
 * @returns the container's id.
 * @throws BuildError `option-invalid` for what is no name, `not-permitted` for one that is taken; as `pullImage`.
 */
export async function createContainer(
  access: ImageAccess,
  image: string,
  { name, platform }: PlatformChoice & { readonly name?: string } = {},
): Promise<string> {
  const id = randomBytes(32).toString("hex");
  const chosen = name ?? id.slice(0, 12);
  if (!NAME.test(chosen)) {
    throw new BuildError(
      "option-invalid",
      `Cannot call a container "${chosen}": names have letters, digits and "_.-"`,
    );
  }
  const { configDigest, layers } = await resolveImage(access, image, {
    platform: parseWantedPlatform(platform),
  });
  await Promise.all(layers.map((layer) => layer.load()));
  if (writeContainer(access.store, { id, name: chosen, configDigest, created: Date.now() })) return id;
  throw new BuildError(
    "not-permitted",
    `Cannot create the container "${chosen}": there is one of that name`,
    { hint: `Remove it with slipway container rm ${chosen}` },
  );
}

/** The newest first. */
export function listContainers({ store }: ImageAccess): readonly Container[] {
  const tags = listTags(store);
  return listStoredContainers(store).map((container) => {
    const tag = tags.find(({ configDigest }) => configDigest === container.configDigest);
    return { ...container, ...(tag && { image: familiarName(parseImageReference(tag.name)) }) };
  });
}

/** By name, by id or by the beginning of an id. @throws BuildError `image-not-found`. */
export function findContainer({ store }: ImageAccess, name: string): StoredContainer {
  const container = findStoredContainer(store, name);
  if (container !== undefined) return container;
  const names = listStoredContainers(store).map((one) => one.name);
  throw new BuildError("image-not-found", `Cannot find the container "${name}": there is none of that name`, {
    hint: hintNearest(name, names),
  });
}

/**
 * Removes a container, by name or id.
 *
 * @returns false when there was none, which is an error unless `force` is set.
 * @throws BuildError `image-not-found`.
 */
export function removeContainer(
  access: ImageAccess,
  name: string,
  { force = false }: { readonly force?: boolean } = {},
): boolean {
  const { store } = access;
  const container = force ? findStoredContainer(store, name) : findContainer(access, name);
  if (container !== undefined) removeStoredContainer(store, container.id);
  return container !== undefined;
}
