import type { Writable } from "node:stream";
import type { ImageAccess } from "../image/image-access.ts";
import { findImage } from "../store/images.ts";
import { findContainer } from "./containers.ts";
import { copyTreeOut } from "./copy-tree-out.ts";
import { findPath, openImageTree } from "./open-image-tree.ts";
import { writeTreeTar } from "./write-tree-tar.ts";

export interface CopyFromContainerOptions {
  /** In the container; a trailing `/.` means what a directory holds. */
  readonly path: string;
  /** A path on this machine, or a stream for a tar, which stays open. */
  readonly destination: string | Writable;
  /** A link as source means what it points to; so does a slash at its end. */
  readonly followLink?: boolean;
  /** Owners as in the image, which takes root; else files belong to whoever copies. */
  readonly keepOwners?: boolean;
}

/**
 * Copies files out of a container, by docker cp's rules.
 *
 * @throws BuildError `image-not-found`, `copy-source-missing`, `copy-failed`.
 */
export async function copyFromContainer(
  access: ImageAccess,
  name: string,
  { path, destination, followLink = false, keepOwners = false }: CopyFromContainerOptions,
): Promise<void> {
  const { store, signal } = access;
  const { configDigest } = findContainer(access, name);
  const image = findImage(store, configDigest);
  if (image === undefined) throw new Error(`the image of the container ${name} is gone from the store`);
  using tree = await openImageTree(access, image, configDigest);
  const found = findPath(tree, path, { name, followLast: followLink || /\/\.?$/.test(path) });
  const request = { found, path, signal };
  if (typeof destination === "string") await copyTreeOut(tree, { ...request, destination, keepOwners });
  else await writeTreeTar(tree, request, destination);
}
