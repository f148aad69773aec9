import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { BuildError } from "../errors/build-error.ts";
import { copyFromDockerArchive, copyToDockerArchive } from "../export/copy-docker-archive.ts";
import type { CopySource, CopyTarget } from "../export/copy-image.ts";
import { copyFromLayout, copyToLayout } from "../export/copy-layout.ts";
import { copyFromRegistry, copyToRegistry } from "../export/copy-registry.ts";
import { writeWhole } from "../export/write-whole.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { type ImageReference, parseImageReference } from "../oci/reference.ts";
import { encodeTarMember, TAR_END } from "../rootfs/tar-writer.ts";
import { removeTree } from "../store/remove-tree.ts";
import { unpackImageArchive } from "./unpack-image-archive.ts";

/** What an argument of `copy` names, in skopeo's words. */
export type CopyPlace =
  | { readonly kind: "registry"; readonly reference: ImageReference }
  | { readonly kind: "layout" | "archive"; readonly path: string; readonly tag?: string }
  | { readonly kind: "docker"; readonly path: string; readonly wanted?: ImageReference };

/**
 * `NAME[:TAG|@DIGEST]` or `docker://NAME`, `oci:DIRECTORY[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME[:TAG]]`.
 *
 * @throws BuildError `option-invalid`.
 */
export function parseCopyPlace(text: string): CopyPlace {
  const [, kind, rest = ""] = /^(oci|oci-archive|docker-archive):(.*)$/s.exec(text) ?? [];
  if (kind === undefined) {
    return { kind: "registry", reference: parseImageReference(text.replace(/^docker:\/\//, "")) };
  }
  if (kind === "docker-archive") return parseDockerArchive(text, rest);
  // A tag has no slash, a path after a colon would.
  const [, path = "", tag] = /^(.*?)(?::([^:/]*))?$/s.exec(rest) ?? [];
  if (path === "" || tag === "") {
    throw new BuildError("option-invalid", `Cannot use "${text}": it is not ${kind}:PATH[:TAG]`);
  }
  return { kind: kind === "oci" ? "layout" : "archive", path, tag };
}

/** A file's name with a colon cannot be written, as with skopeo. */
function parseDockerArchive(text: string, rest: string): CopyPlace {
  const [, path = "", name] = /^([^:]*)(?::(.*))?$/s.exec(rest) ?? [];
  if (path === "" || name === "") {
    throw new BuildError(
      "option-invalid",
      `Cannot use "${text}": it is not docker-archive:FILE[:NAME[:TAG]]`,
    );
  }
  return { kind: "docker", path, ...(name !== undefined && { wanted: parseImageReference(name) }) };
}

/**
 * Hands the source to `use`; an archive lies open in a directory as long as that takes. Layers of a docker archive are compressed for a target
 * of another kind, as skopeo does it.
 */
export async function withCopySource<T>(
  access: ImageAccess,
  { place, target }: { readonly place: CopyPlace; readonly target: CopyPlace },
  use: (source: CopySource) => Promise<T>,
): Promise<T> {
  const { signal } = access;
  if (place.kind === "registry") {
    const registry = await access.openRegistry();
    return use(copyFromRegistry(access, { registry, reference: place.reference }));
  }
  if (place.kind === "layout") {
    return use(
      await copyFromLayout({ directory: place.path, tag: place.tag, limits: access.limits, signal }),
    );
  }
  return withDirectory(access, async (directory) => {
    const { path } = place;
    await stat(path).catch((error: Error) => {
      throw new BuildError("option-invalid", `Cannot read "${path}": ${error.message}`, { cause: error });
    });
    const { limits } = access;
    await unpackImageArchive(createReadStream(path), { directory, name: path, limits, signal });
    return use(
      place.kind === "docker"
        ? await copyFromDockerArchive(access, {
            directory,
            name: path,
            wanted: place.wanted,
            limits,
            isCompressed: target.kind !== "docker",
          })
        : await copyFromLayout({ directory, tag: place.tag, messageName: path, limits, signal }),
    );
  });
}

/** Hands the target to `use`; an archive appears when that has ended well. */
export async function withCopyTarget<T>(
  access: ImageAccess,
  place: CopyPlace,
  use: (target: CopyTarget) => Promise<T>,
): Promise<T> {
  const { signal } = access;
  if (place.kind === "registry") {
    const registry = await access.openRegistry();
    return use(copyToRegistry(access, { registry, reference: place.reference }));
  }
  if (place.kind === "layout") {
    return use(await copyToLayout({ directory: place.path, tag: place.tag, signal }));
  }
  return withDirectory(access, async (directory) => {
    const result = await use(
      place.kind === "docker"
        ? await copyToDockerArchive({ directory, wanted: place.wanted, signal })
        : await copyToLayout({ directory, tag: place.tag, signal }),
    );
    await writeWhole(place.path, (path) =>
      pipeline(Readable.from(encodeLayout(directory)), createWriteStream(path), { signal }),
    );
    return result;
  });
}

async function withDirectory<T>({ store }: ImageAccess, use: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(store.temporaryDirectory, "copy-"));
  try {
    return await use(directory);
  } finally {
    await removeTree(directory);
  }
}

/** The same layout gives the same bytes. */
async function* encodeLayout(directory: string): AsyncGenerator<Uint8Array> {
  const fields = { uid: 0, gid: 0, mtime: 0, mtimeNs: 0, linkName: "", deviceMajor: 0, deviceMinor: 0 };
  for (const name of ["blobs", "blobs/sha256"]) {
    yield encodeTarMember({ ...fields, name, type: "directory", mode: 0o755, size: 0 });
  }
  const blobs = (await readdir(join(directory, "blobs/sha256"))).sort();
  const documents = (await readdir(directory)).filter((name) => name !== "blobs").sort();
  for (const name of [...blobs.map((blob) => `blobs/sha256/${blob}`), ...documents]) {
    const { size } = await stat(join(directory, name));
    yield encodeTarMember({ ...fields, name, type: "file", mode: 0o644, size });
    yield* createReadStream(join(directory, name), { highWaterMark: 1 << 20 });
    yield Buffer.alloc((512 - (size % 512)) % 512);
  }
  yield TAR_END;
}
