import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { BuildError } from "../errors/build-error.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { digestHex, isDigest } from "../oci/digest.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import type { ImageIndex } from "../oci/manifest.ts";
import type { Platform } from "../oci/platform.ts";
import type { ImageAccess } from "./image-access.ts";
import { type ReadImage, readImage } from "./read-image.ts";

const REF_NAME = "org.opencontainers.image.ref.name";
/** A manifest or config is small; a larger one is an attack or a mistake. */
const DOCUMENT_SIZE_MAX = 4 * 1024 * 1024;

/**
 * Opens an image of an OCI image layout (image spec 1.1, image-layout.md) in a directory. `selector` is a tag (`latest` when
 * absent) or a digest.
 *
 * @throws BuildError `image-not-found`, `image-invalid`, `verification`.
 */
export async function openOciLayout(
  access: ImageAccess,
  layout: { readonly directory: string; readonly selector?: string; readonly platform: Platform },
): Promise<ReadImage> {
  const { name, root, read, openBlob } = await readOciLayout(layout);
  const { platform } = layout;
  return readImage(access, root, { name, platform, read, origin: { name, openBlob } });
}

/** An image of a layout as its documents and blobs. */
export interface OciLayout {
  /** For messages. */
  readonly name: string;
  /** What index.json lists under the tag or digest: a manifest or an index. */
  readonly root: Descriptor;
  /** A manifest, index or config, verified. */
  read(descriptor: Descriptor): Promise<Uint8Array>;
  /** Not verified. */
  openBlob(descriptor: Descriptor): Readable;
}

/** @throws BuildError `image-not-found`, `image-invalid`. */
export async function readOciLayout(layout: {
  readonly directory: string;
  readonly selector?: string;
}): Promise<OciLayout> {
  const { directory, selector } = layout;
  const name = `oci-layout://${directory}${selector === undefined ? "" : isDigest(selector) ? `@${selector}` : `:${selector}`}`;
  return {
    name,
    root: chooseRoot(await readIndex(directory, name), selector, name),
    read: (descriptor) => readDocument(directory, descriptor, name),
    openBlob: (descriptor) => createReadStream(blobPath(directory, descriptor), { highWaterMark: 1 << 20 }),
  };
}

async function readIndex(directory: string, name: string): Promise<ImageIndex> {
  try {
    return JSON.parse(await readFile(join(directory, "index.json"), "utf8")) as ImageIndex;
  } catch (error) {
    throw new BuildError("image-not-found", `Cannot open "${name}": ${(error as Error).message}`, {
      hint: "An OCI image layout is a directory with index.json and blobs/",
      cause: error,
    });
  }
}

/** By digest, by the tag's annotation, or, where nothing is asked for, what is called latest or stands alone. */
function chooseRoot({ manifests = [] }: ImageIndex, selector: string | undefined, name: string): Descriptor {
  const wanted = selector ?? "latest";
  const byName = manifests.find((entry) => entry.digest === wanted || tagOf(entry) === wanted);
  const found = byName ?? (selector === undefined && manifests.length === 1 ? manifests[0] : undefined);
  if (found !== undefined) return found;
  if (isDigest(wanted)) {
    // A digest may name what index.json does not list: a manifest of an inner index.
    throw new BuildError(
      "image-not-found",
      `Cannot open "${name}": its index.json does not list that digest`,
    );
  }
  const tags = manifests.flatMap((entry) => tagOf(entry) ?? []);
  throw new BuildError("image-not-found", `Cannot open "${name}": the layout has no image "${wanted}"`, {
    hint: tags.length === 0 ? undefined : `It has ${tags.join(", ")}`,
  });
}

/** Some tools write the whole reference as the name. */
function tagOf(entry: Descriptor): string | undefined {
  const name = entry.annotations?.[REF_NAME];
  return name?.slice(name.lastIndexOf(":") + 1);
}

async function readDocument(directory: string, descriptor: Descriptor, name: string): Promise<Uint8Array> {
  if (descriptor.size > DOCUMENT_SIZE_MAX) {
    throw new BuildError(
      "input-limit",
      `Cannot read "${name}": ${descriptor.digest} has ${descriptor.size} bytes, above the limit of 4 MiB`,
    );
  }
  let bytes: Buffer;
  try {
    bytes = await readFile(blobPath(directory, descriptor));
  } catch (error) {
    throw new BuildError("image-invalid", `Cannot read "${name}": ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (digestBytes(bytes) !== descriptor.digest) {
    throw new BuildError(
      "verification",
      `Cannot read "${name}": the bytes of ${descriptor.digest} are others`,
    );
  }
  return bytes;
}

function blobPath(directory: string, { digest }: Descriptor): string {
  if (!isDigest(digest))
    throw new BuildError("image-invalid", `Cannot open the layout "${directory}": "${digest}" is no digest`);
  return join(directory, "blobs/sha256", digestHex(digest));
}
