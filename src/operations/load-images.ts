import { createReadStream } from "node:fs";
import { mkdtemp, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { BuildError } from "../errors/build-error.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { parseWantedPlatform } from "../oci/machine-platform.ts";
import { removeTree } from "../store/remove-tree.ts";
import { type LoadedImage, loadUnpackedImages } from "./load-unpacked-images.ts";
import { unpackImageArchive } from "./unpack-image-archive.ts";

/**
 * Takes the images of an archive into the store.
 *
 * @param input the path of an OCI or docker archive or of a directory with an OCI layout; or an archive's bytes.
 * @throws BuildError `option-invalid`, `image-invalid`, `input-limit`, `verification`, `image-not-found`.
 */
export async function loadImages(
  access: ImageAccess,
  input: string | Readable,
  options: { readonly platform?: string } = {},
): Promise<readonly LoadedImage[]> {
  const { store, limits, signal } = access;
  const platform = parseWantedPlatform(options.platform);
  const name = typeof input === "string" ? input : "stdin";
  if (typeof input === "string" && (await isDirectory(input)))
    return loadUnpackedImages(access, { directory: input, name, platform });
  const directory = await mkdtemp(join(store.temporaryDirectory, "load-"));
  try {
    const archive = typeof input === "string" ? createReadStream(input) : input;
    await unpackImageArchive(archive, { directory, name, limits, signal });
    return await loadUnpackedImages(access, { directory, name, platform });
  } finally {
    await removeTree(directory);
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const what = code === "ENOENT" ? "there is no such file" : message;
    throw new BuildError("option-invalid", `Cannot load "${path}": ${what}`);
  }
}
