import { BuildError } from "../errors/build-error.ts";
import { makeLimitError } from "../errors/input-limits.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import { parseImageConfig, parseManifest } from "../oci/parse-documents.ts";
import { formatPlatform, normalizePlatform, type Platform } from "../oci/platform.ts";
import {
  familiarName,
  formatImageReference,
  type ImageReference,
  parseImageReference,
  storeName,
} from "../oci/reference.ts";
import { failEvent } from "../progress/fail-event.ts";
import { findBlobOrigins, findOriginsOfLayer, recordBlobOrigins } from "../store/blob-origins.ts";
import { hasBlob, readBlob, writeBlob } from "../store/blobs.ts";
import {
  findImage,
  findImagesByDigest,
  findImagesById,
  findTag,
  findTags,
  type StoredImage,
  writeImage,
  writeTag,
} from "../store/images.ts";
import { findLayerByDiffId } from "../store/layers.ts";
import type { Store } from "../store/open-store.ts";
import type { ImageAccess, ResolvedImage } from "./image-access.ts";
import { type BlobOrigin, type LazyLayerSource, makeLazyLayer } from "./lazy-layer.ts";
import { type ReadImage, readImage } from "./read-image.ts";

/** An image id: the config's digest, or 12 to 64 of its hex digits. */
const IMAGE_ID = /^(?:sha256:)?([0-9a-f]{12,64})$/;

export interface ResolveOptions {
  readonly platform: Platform;
  /** Ask the registry even when the store has the tag. */
  readonly pull?: boolean;
}

/**
 * Finds the image that a name, a name with a digest or an image id stands for: in the store, else at its registry, whose
 * answer the store keeps (manifest and config; layers come when they are needed).
 *
 * @throws BuildError `image-not-found`, `authentication`, `registry`, `verification`, `image-invalid`.
 */
export async function resolveImage(
  access: ImageAccess,
  text: string,
  options: ResolveOptions,
): Promise<ResolvedImage> {
  const local = options.pull ? undefined : findLocalImage(access, text, options.platform);
  if (local !== undefined) return openStoredImage(access, local, text);
  const reference = parseImageReference(text);
  try {
    return await pullImage(access, reference, { platform: options.platform });
  } catch (error) {
    const isHere = options.pull && findLocalImage(access, text, options.platform) !== undefined;
    throw hintStored(error, { isHere, tags: findTags(access.store, storeName(reference)) });
  }
}

/** A name that the store has was probably meant for that image, and one that it has for other platforms alone for one of these. */
function hintStored(
  error: unknown,
  { isHere, tags }: { readonly isHere?: boolean; readonly tags: readonly { readonly platform: string }[] },
): unknown {
  if (!(error instanceof BuildError) || tags.length === 0) return error;
  if (error.code !== "registry" && error.code !== "image-not-found") return error;
  const platforms = tags.map(({ platform }) => platform).join(", ");
  const hint = isHere
    ? "The store has it, and without --pull that is taken"
    : `The store has it for ${platforms}, and not for the platform that is asked for`;
  return new BuildError(error.code, error.message, { hint, cause: error.cause });
}

/** The stored image that a name or id stands for on a platform; undefined when the store has none. */
export function findLocalImage(
  { store }: ImageAccess,
  text: string,
  platform?: Platform,
): StoredImage | undefined {
  const id = IMAGE_ID.exec(text)?.[1];
  if (id !== undefined) {
    const [first, second] = findImagesById(store, id);
    if (second !== undefined) {
      throw new BuildError(
        "image-not-found",
        `Cannot use the image id "${text}": more than one image begins with it`,
      );
    }
    if (first !== undefined) return first;
    if (id.length === 64) return undefined;
  }
  const reference = parseImageReference(text);
  if (reference.digest !== undefined) return findByDigest(store, reference.digest, platform);
  const name = formatImageReference(reference);
  const tag =
    platform === undefined ? findTags(store, name).at(-1) : findTag(store, name, formatPlatform(platform));
  return tag && findImage(store, tag.configDigest);
}

/** Opens an image of the store. `text` is what the user called it. */
export async function openStoredImage(
  access: ImageAccess,
  image: StoredImage,
  text: string,
): Promise<ResolvedImage> {
  const { store } = access;
  const action = `Cannot use "${text}"`;
  const config = parseImageConfig(await readBlob(store, image.configDigest), action);
  const manifest =
    image.manifestDigest === undefined
      ? undefined
      : parseManifest(await readBlob(store, image.manifestDigest), action);
  const reference = IMAGE_ID.test(text) ? undefined : parseImageReference(text);
  return {
    name: reference === undefined ? text : formatImageReference(reference),
    platform: normalizePlatform(config),
    config,
    configDigest: image.configDigest,
    layers: config.rootfs.diff_ids.map((diffId, position) =>
      makeLazyLayer(
        access,
        manifest === undefined
          ? findElsewhere(access, diffId)
          : {
              diffId,
              descriptor: manifest.layers[position],
              origin:
                findOrigin(access, manifest.layers[position]?.digest) ??
                (reference && registryOrigin(access, reference)),
            },
      ),
    ),
  };
}

/**
 * Asks the registry, and keeps what it answers under the name. `withLayers`: the name changes when all of them are here, so that a pull
 * which fails leaves the image that had the name before.
 */
export async function pullImage(
  access: ImageAccess,
  reference: ImageReference,
  { platform, withLayers = false }: { readonly platform: Platform; readonly withLayers?: boolean },
): Promise<ResolvedImage> {
  const { store } = access;
  const { image, root } = await readFromRegistry(access, reference, platform);
  if (withLayers) await Promise.all(image.layers.map((layer) => layer.load()));
  rememberOrigins(store, reference, image);
  writeImage(store, {
    configDigest: image.configDigest,
    manifestDigest: image.manifestDescriptor.digest,
    platform: formatPlatform(image.platform),
    sizeBytes: 0,
    created: Date.parse(image.config.created ?? "") || Date.now(),
  });
  writeTag(store, {
    name: storeName(reference),
    platform: formatPlatform(platform),
    configDigest: image.configDigest,
    targetDigest: root.digest,
    updated: Date.now(),
  });
  return image;
}

/** Reads index, manifest and config, and keeps their blobs. `root` is what the reference stands for at the registry. */
async function readFromRegistry(
  access: ImageAccess,
  reference: ImageReference,
  platform: Platform,
): Promise<{ readonly image: ReadImage; readonly root: Descriptor }> {
  const { store, signal, emit } = access;
  const name = formatImageReference(reference);
  const id = `resolve ${name} ${formatPlatform(platform)}`;
  emit({ kind: "start", time: Date.now(), id, name: `resolve ${familiarName(reference)}` });
  try {
    const registry = await access.openRegistry();
    const root = await registry.resolveManifest(reference, { signal });
    await writeBlob(store, root.bytes);
    const read = async (descriptor: Descriptor): Promise<Uint8Array> => {
      if (hasBlob(store, descriptor.digest)) return readBlob(store, descriptor.digest);
      const bytes = await fetchDocument(access, reference, descriptor);
      await writeBlob(store, bytes);
      return bytes;
    };
    const origin = registryOrigin(access, reference);
    const image = await readImage(access, root.descriptor, { name, platform, read, origin });
    emit({ kind: "end", time: Date.now(), id, outcome: "done" });
    return { image, root: root.descriptor };
  } catch (error) {
    emit(failEvent(id, error, signal));
    throw error;
  }
}

/** A layer of an image that was built here on a base whose layers were not fetched: where that base came from. */
function findElsewhere(access: ImageAccess, diffId: Digest): LazyLayerSource {
  if (findLayerByDiffId(access.store, diffId) !== undefined) return { diffId };
  const [found] = findOriginsOfLayer(access.store, diffId);
  if (found === undefined) return { diffId };
  const { registry, repository, digest, mediaType, size } = found;
  return {
    diffId,
    descriptor: { mediaType, digest, size },
    origin: registryOrigin(access, { registry, repository }),
  };
}

/** Where a blob came from: an image may have got another name since. */
function findOrigin(access: ImageAccess, digest: Digest | undefined): BlobOrigin | undefined {
  const [found] = digest === undefined ? [] : findBlobOrigins(access.store, digest);
  return found && registryOrigin(access, found);
}

function rememberOrigins(
  store: Store,
  { registry, repository }: ImageReference,
  { layers }: ResolvedImage,
): void {
  recordBlobOrigins(
    store,
    layers.flatMap(({ blob, diffId }) => {
      if (blob === undefined) return [];
      const { digest, mediaType, size } = blob;
      return [{ digest, registry, repository, diffId, mediaType, size }];
    }),
  );
}

/** A manifest by its digest, or a config, which is a blob. */
async function fetchDocument(
  access: ImageAccess,
  reference: ImageReference,
  descriptor: Descriptor,
): Promise<Uint8Array> {
  const registry = await access.openRegistry();
  const { signal } = access;
  if (descriptor.mediaType.includes("manifest") || descriptor.mediaType.includes("index")) {
    return (await registry.resolveManifest({ ...reference, digest: descriptor.digest }, { signal })).bytes;
  }
  if (descriptor.size > access.limits["config-size"]) {
    const what = `Cannot use "${formatImageReference(reference)}": its config is larger`;
    throw makeLimitError("config-size", what, access.limits);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of registry.openBlob(reference, descriptor, { signal })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function findByDigest(store: Store, digest: Digest, platform: Platform | undefined): StoredImage | undefined {
  const images = findImagesByDigest(store, digest);
  return platform === undefined
    ? images[0]
    : images.find((image) => image.platform === formatPlatform(platform));
}

function registryOrigin(access: ImageAccess, { registry: host, repository }: ImageReference): BlobOrigin {
  const reference = { registry: host, repository };
  return {
    name: familiarName(reference),
    async *openBlob(descriptor, options) {
      const registry = await access.openRegistry();
      yield* registry.openBlob(reference, descriptor, { ...options, receiverVerifies: true });
    },
  };
}
