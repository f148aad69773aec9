import { BuildError } from "../errors/build-error.ts";
import { choosePlatform, isCompatiblePlatform, isImage } from "../oci/choose-platform.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Manifest } from "../oci/manifest.ts";
import {
  isImageConfigMediaType,
  isIndexMediaType,
  isLayerMediaType,
  isManifestMediaType,
} from "../oci/media-type.ts";
import { parseImageConfig, parseIndex, parseManifest } from "../oci/parse-documents.ts";
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
 * @throws BuildError `image-not-found` when the index has no such platform, `not-image` for artifacts,
 * `image-invalid` for what is damaged.
 */
export async function readImage(
  access: ImageAccess,
  root: Descriptor,
  options: ReadImageOptions,
): Promise<ReadImage> {
  const { name, read, platform } = options;
  const manifestDescriptor = await findManifest(root, options);
  const action = `Cannot use "${name}"`;
  const manifest = parseManifest(await read(manifestDescriptor), action);
  refuseArtifact(manifest, action);
  const config = parseImageConfig(await read(manifest.config), action);
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) {
    throw new BuildError(
      "image-invalid",
      `Cannot use "${name}": its config lists other layers than its manifest`,
    );
  }
  const { os, architecture, variant } = config;
  const own = normalizePlatform({ os, architecture, variant });
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
        "not-image",
        `Cannot use "${name}": it is a ${descriptor.mediaType}, not an image`,
      );
    }
    const { manifests } = parseIndex(await read(descriptor), `Cannot use "${name}"`);
    const images = manifests.filter(isImage);
    if (images.length === 0) {
      throw new BuildError("not-image", `Cannot use "${name}": its index lists no image`);
    }
    const chosen = choosePlatform(images, platform);
    if (chosen === undefined) {
      const offered = images.flatMap((entry) => (entry.platform ? [formatPlatform(entry.platform)] : []));
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

/**
 * Signatures, SBOMs and charts are manifests, too (OCI image spec 1.1, "Guidelines for Artifact Usage"). cosign's signatures have
 * the config of an image, so the layers count as well.
 */
function refuseArtifact({ config, layers }: Manifest, action: string): void {
  const isStrange =
    !isImageConfigMediaType(config.mediaType) || !layers.every((layer) => isLayerMediaType(layer.mediaType));
  if (!isStrange) return;
  const types = new Set([config, ...layers].map(({ mediaType }) => mediaType));
  throw new BuildError("not-image", `${action}: it is an artifact of ${[...types].join(", ")}, not an image`);
}
