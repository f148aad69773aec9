import { BuildError } from "../errors/build-error.ts";
import { choosePlatform, isCompatiblePlatform } from "../oci/choose-platform.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import type { ImageIndex, Manifest } from "../oci/manifest.ts";
import { isIndexMediaType, isManifestMediaType } from "../oci/media-type.ts";
import { formatPlatform, normalizePlatform, type Platform } from "../oci/platform.ts";
import type { ImageAccess, ResolvedImage } from "./image-access.ts";
import { type BlobOrigin, makeLazyLayer } from "./lazy-layer.ts";

/** How deep indexes may lie in each other; one that points to itself ends here. */
const INDEX_DEPTH_MAX = 4;

/** Reads a manifest, an index or a config, verified, from wherever the image is. */
export type ReadDocument = (descriptor: Descriptor) => Promise<Uint8Array>;

export interface ReadImageOptions {
  /** For messages. */
  readonly name: string;
  readonly platform: Platform;
  readonly read: ReadDocument;
  readonly origin: BlobOrigin;
}

export interface ReadImage extends ResolvedImage {
  readonly manifestDescriptor: Descriptor;
}

/**
 * Follows a descriptor through indexes to the image for a platform.
 *
 * @throws BuildError `image-not-found` when the index has no such platform, `image-invalid` for what is no image.
 */
export async function readImage(
  access: ImageAccess,
  root: Descriptor,
  options: ReadImageOptions,
): Promise<ReadImage> {
  const { name, read, platform } = options;
  const manifestDescriptor = await findManifest(root, options);
  const manifest = parseDocument<Manifest>(await read(manifestDescriptor), name);
  if (!isRecord(manifest.config) || !Array.isArray(manifest.layers)) {
    throw new BuildError("image-invalid", `Cannot use "${name}": its manifest has no config or no layers`);
  }
  const config = parseDocument<ImageConfig>(await read(manifest.config), name);
  const diffIds = config.rootfs?.diff_ids;
  if (!Array.isArray(diffIds) || diffIds.length !== manifest.layers.length) {
    throw new BuildError(
      "image-invalid",
      `Cannot use "${name}": its config lists other layers than its manifest`,
      {
        hint: "It may be an artifact that is no container image",
      },
    );
  }
  const own = normalizePlatform({
    os: config.os ?? "linux",
    architecture: config.architecture ?? "amd64",
    variant: config.variant,
  });
  if (!isCompatiblePlatform(own, platform) && manifestDescriptor.platform === undefined) {
    throw new BuildError(
      "image-not-found",
      `Cannot use "${name}" for ${formatPlatform(platform)}: it is an image for ${formatPlatform(own)}`,
    );
  }
  return {
    name,
    platform: own,
    config,
    configDigest: manifest.config.digest,
    manifestDescriptor,
    layers: manifest.layers.map((descriptor, position) =>
      makeLazyLayer(access, { diffId: diffIds[position]!, descriptor, origin: options.origin }),
    ),
  };
}

async function findManifest(
  root: Descriptor,
  { name, platform, read }: ReadImageOptions,
): Promise<Descriptor> {
  let descriptor = root;
  for (let depth = 0; depth <= INDEX_DEPTH_MAX; depth++) {
    if (isManifestMediaType(descriptor.mediaType)) return descriptor;
    if (!isIndexMediaType(descriptor.mediaType)) {
      throw new BuildError(
        "image-invalid",
        `Cannot use "${name}": it is a ${descriptor.mediaType}, not an image`,
      );
    }
    const { manifests = [] } = parseDocument<ImageIndex>(await read(descriptor), name);
    const chosen = choosePlatform(manifests.filter(isImage), platform);
    if (chosen === undefined) {
      const offered = manifests.flatMap((entry) =>
        isImage(entry) && entry.platform ? [formatPlatform(entry.platform)] : [],
      );
      throw new BuildError(
        "image-not-found",
        `Cannot use "${name}" for ${formatPlatform(platform)}: it has no image for that platform`,
        {
          hint: offered.length === 0 ? undefined : `It has ${offered.join(", ")}`,
        },
      );
    }
    descriptor = chosen;
  }
  throw new BuildError(
    "image-invalid",
    `Cannot use "${name}": its indexes lie more than ${INDEX_DEPTH_MAX} deep in each other`,
  );
}

/** Attestations stand in an index as manifests for a platform that nobody has. */
function isImage(entry: Descriptor): boolean {
  return (
    entry.platform?.os !== "unknown" &&
    entry.annotations?.["vnd.docker.reference.type"] !== "attestation-manifest"
  );
}

function parseDocument<T>(bytes: Uint8Array, name: string): T {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    if (isRecord(value)) return value as T;
  } catch {
    // Said below, in the same words as for a document that is no object.
  }
  throw new BuildError("image-invalid", `Cannot use "${name}": one of its documents is not a JSON object`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
