import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { BuildError } from "../errors/build-error.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { type ImageFile, toImageFile } from "../rootfs/image-file.ts";
import { baseName, pathBelow, textFromBytes } from "../rootfs/rootfs-path.ts";
import { findImage, type PlatformChoice } from "./find-image.ts";
import { findPath, openImageTree } from "./open-image-tree.ts";
import { takeBreaths } from "./take-breaths.ts";

export interface ListFilesOptions extends PlatformChoice {
  /** A directory, for what is in it, or another file, for itself; `/` when absent. Links are followed. */
  readonly path?: string;
  /** All that is below a directory, too. */
  readonly isRecursive?: boolean;
}

export interface ListedFile extends ImageFile {
  /** The path as seen from the directory that is listed. */
  readonly name: string;
}

/**
 * The files of an image of the store, in byte order; its layers are fetched where they are missing.
 *
 * @throws BuildError `image-not-found`, `copy-source-missing`.
 */
export async function* listFiles(
  access: ImageAccess,
  image: string,
  { path = "/", isRecursive = false, platform }: ListFilesOptions = {},
): AsyncGenerator<ListedFile> {
  using tree = await openImageTree(access, findImage(access, image, { platform }), image);
  const found = findPath(tree, path, { name: image, followLast: true });
  if (found.entry.entry.type !== "directory") {
    const { entry } = found.entry;
    yield { ...toImageFile(entry), name: textFromBytes(baseName(entry.path)) };
    return;
  }
  const entries = isRecursive ? tree.walk(found.path) : tree.list(found.path);
  for await (const { entry } of takeBreaths(entries, access.signal)) {
    if (entry.path === found.path) continue;
    yield { ...toImageFile(entry), name: textFromBytes(pathBelow(entry.path, found.path)) };
  }
}

/**
 * The bytes of a regular file of an image of the store. Links are followed.
 *
 * @throws BuildError `image-not-found`, `copy-source-missing`; `option-invalid` for what is no file.
 */
export async function openFile(
  access: ImageAccess,
  image: string,
  { path, platform }: PlatformChoice & { readonly path: string },
): Promise<Readable> {
  using tree = await openImageTree(access, findImage(access, image, { platform }), image);
  const { entry } = findPath(tree, path, { name: image, followLast: true });
  if (entry.entry.type !== "file") {
    throw new BuildError(
      "option-invalid",
      `Cannot read "${path}" in "${image}": it is a ${entry.entry.type}`,
    );
  }
  const { filePath, offset, size } = tree.locate(entry);
  // A range of no bytes cannot be written with `end`.
  if (size === 0) return Readable.from([]);
  return createReadStream(filePath, { start: offset, end: offset + size - 1, signal: access.signal });
}
