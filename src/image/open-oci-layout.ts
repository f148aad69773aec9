import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { BuildError } from "../errors/build-error.ts";
import { type InputLimits, makeLimitError } from "../errors/input-limits.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { digestHex, isDigest } from "../oci/digest.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import type { ImageIndex } from "../oci/manifest.ts";
import { parseIndex } from "../oci/parse-documents.ts";
import type { Platform } from "../oci/platform.ts";
import type { ImageAccess } from "./image-access.ts";
import { readFileWithin } from "./read-file-within.ts";
import { type ReadImage, readImage } from "./read-image.ts";

const REF_NAME = "org.opencontainers.image.ref.name";

/**
 * Opens an image of an OCI image layout (image spec 1.1, image-layout.md) in a directory. `selector` is a tag (`latest` when
 * absent) or a digest.
 *
 * @throws BuildError `image-not-found`, `image-invalid`, `verification`.
 */
export async function openOciLayout(
  access: ImageAccess,
  layout: Omit<LayoutChoice, "limits"> & { readonly platform: Platform },
): Promise<ReadImage> {
  const { name, root, read, openBlob } = await readOciLayout({ ...layout, limits: access.limits });
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

export interface LayoutChoice {
  readonly directory: string;
  readonly selector?: string;
  /** What messages call it, where the user does not know the directory. */
  readonly title?: string;
  readonly limits: InputLimits;
}

/** @throws BuildError `image-not-found`, `image-invalid`. */
export async function readOciLayout(layout: LayoutChoice): Promise<OciLayout> {
  const { directory, selector, limits } = layout;
  const name =
    layout.title ??
    `oci-layout://${directory}${selector === undefined ? "" : isDigest(selector) ? `@${selector}` : `:${selector}`}`;
  return {
    name,
    root: chooseRoot(await readIndex(directory, { name, limits }), selector, name),
    read: (descriptor) => readDocument(directory, descriptor, { name, limits }),
    openBlob: (descriptor) => createReadStream(blobPath(directory, descriptor), { highWaterMark: 1 << 20 }),
  };
}

interface ReadOptions {
  /** Of the layout, for messages. */
  readonly name: string;
  readonly limits: InputLimits;
}

async function readIndex(directory: string, { name, limits }: ReadOptions): Promise<ImageIndex> {
  const action = `Cannot open "${name}"`;
  let bytes: Uint8Array;
  try {
    bytes = await readFileWithin(
      join(directory, "index.json"),
      () => makeLimitError("manifest-size", `${action}: its index.json is larger`, limits),
      limits["manifest-size"],
    );
  } catch (error) {
    if (error instanceof BuildError) throw error;
    throw new BuildError("image-not-found", `${action}: ${(error as Error).message}`, {
      hint: "An OCI image layout is a directory with index.json and blobs/",
      cause: error,
    });
  }
  return parseIndex(bytes, action);
}

/** By digest, by the tag's annotation, or, where nothing is asked for, what is called latest or stands alone. */
function chooseRoot({ manifests }: ImageIndex, selector: string | undefined, name: string): Descriptor {
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

/** A manifest, an index or a config. */
async function readDocument(
  directory: string,
  descriptor: Descriptor,
  { name, limits }: ReadOptions,
): Promise<Uint8Array> {
  const limit = /manifest|index/.test(descriptor.mediaType) ? "manifest-size" : "config-size";
  const refuse = () => makeLimitError(limit, `Cannot read "${name}": ${descriptor.digest} is larger`, limits);
  if (descriptor.size > limits[limit]) throw refuse();
  let bytes: Buffer;
  try {
    bytes = await readFileWithin(blobPath(directory, descriptor), refuse, limits[limit]);
  } catch (error) {
    if (error instanceof BuildError) throw error;
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
