import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { type LimitName, makeLimitError } from "../errors/input-limits.ts";
import { measureFile } from "../export/measure-file.ts";
import { tagImage } from "../export/tag-image.ts";
import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import { openOciLayout } from "../image/open-oci-layout.ts";
import { readDockerArchive, type UnpackedArchive } from "../image/read-docker-archive.ts";
import { readFileWithin } from "../image/read-file-within.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestHex } from "../oci/digest.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { parseIndex } from "../oci/parse-documents.ts";
import { formatPlatform, normalizePlatform, type Platform } from "../oci/platform.ts";
import { familiarName, parseImageReference } from "../oci/reference.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { writeBlob } from "../store/blobs.ts";
import { writeImage } from "../store/images.ts";

/** An image that the store has now. */
export interface LoadedImage {
  readonly id: Digest;
  /** Its names in the archive, as docker shows them. */
  readonly names: readonly string[];
}

/**
 * Takes the images of an unpacked archive into the store.
 *
 * @throws BuildError `image-invalid`, `verification`, `image-not-found`.
 */
export async function loadUnpackedImages(
  access: ImageAccess,
  {
    directory,
    name,
    platform,
  }: { readonly directory: string; readonly name: string; readonly platform: Platform },
): Promise<LoadedImage[]> {
  if (existsSync(join(directory, "index.json")))
    return loadOciImages(access, { directory, title: name, platform });
  if (["manifest.json", "repositories"].some((file) => existsSync(join(directory, file)))) {
    return loadDockerImages(access, { directory, name, limits: access.limits });
  }
  throw new BuildError(
    "image-invalid",
    "Cannot load the archive: it has neither index.json nor manifest.json",
    {
      hint: "A root file system becomes an image with slipway import",
    },
  );
}

async function loadOciImages(
  access: ImageAccess,
  layout: { readonly directory: string; readonly title: string; readonly platform: Platform },
): Promise<LoadedImage[]> {
  const { directory } = layout;
  const index = parseIndex(await readWithin(access, join(directory, "index.json")), ACTION);
  const loaded: LoadedImage[] = [];
  for (const digest of new Set(index.manifests.map((entry) => entry.digest))) {
    const names = index.manifests.filter((entry) => entry.digest === digest).flatMap(nameOf);
    const image = await openOciLayout(access, { ...layout, selector: digest });
    await Promise.all(image.layers.map((layer) => layer.load()));
    for (const blob of [image.configDigest, image.manifestDescriptor.digest]) {
      const path = join(directory, "blobs/sha256", digestHex(blob));
      await writeBlob(access.store, await readWithin(access, path, "config-size"));
    }
    await tagImage(access, image, { names });
    writeImage(access.store, {
      configDigest: image.configDigest,
      manifestDigest: image.manifestDescriptor.digest,
      platform: formatPlatform(image.platform),
      sizeBytes: 0,
      created: Date.parse(image.config.created ?? "") || 0,
    });
    loaded.push({ id: image.configDigest, names: names.map(showName) });
  }
  return loaded;
}

/** containerd's annotation has the whole name; the spec's is only a tag, unless a tool put more into it. */
function nameOf({ annotations }: Descriptor): string[] {
  const full = annotations?.["io.containerd.image.name"];
  const short = annotations?.["org.opencontainers.image.ref.name"];
  const name = full ?? (short?.includes(":") || short?.includes("/") ? short : undefined);
  return name === undefined ? [] : [name];
}

async function loadDockerImages(access: ImageAccess, archive: UnpackedArchive): Promise<LoadedImage[]> {
  const loaded: LoadedImage[] = [];
  // Images share layers, and one image may have an empty one more than once.
  const loading = new Map<Digest, Promise<LazyLayer>>();
  const load = (diffId: Digest, path: string) => {
    const layer = loading.get(diffId) ?? loadLayer(access, path, diffId);
    loading.set(diffId, layer);
    return layer;
  };
  for (const { config, configBytes, names, layerPaths } of await readDockerArchive(archive)) {
    const layers = await Promise.all(
      config.rootfs.diff_ids.map((diffId, position) => load(diffId, layerPaths[position]!)),
    );
    const configDigest = await writeBlob(access.store, configBytes);
    await tagImage(access, { platform: normalizePlatform(config), config, configDigest, layers }, { names });
    loaded.push({ id: configDigest, names: names.map(showName) });
  }
  return loaded;
}

async function loadLayer(
  { store, work, signal }: ImageAccess,
  path: string,
  diffId: Digest,
): Promise<LazyLayer> {
  const { digest, size } = await measureFile(path, signal);
  const { layer } = await storeWrittenLayer(store, (layersDirectory) =>
    work.ingestLayer(
      { layersDirectory, mediaType: MEDIA_TYPE.ociLayer, digest, size, diffId, bytes: path },
      { signal },
    ),
  );
  return { diffId, layerId: layer.id, load: async () => layer, findIndex: () => layer };
}

const ACTION = "Cannot load the archive";

/** A document of the archive. */
async function readWithin(
  { limits }: ImageAccess,
  path: string,
  limit: LimitName = "manifest-size",
): Promise<Uint8Array> {
  const name = basename(path);
  const refuse = () => makeLimitError(limit, `${ACTION}: its ${name} is larger`, limits);
  try {
    return await readFileWithin(path, refuse, limits[limit]);
  } catch (error) {
    if (error instanceof BuildError) throw error;
    throw new BuildError("image-invalid", `${ACTION}: its ${name} cannot be read`, { cause: error });
  }
}

function showName(name: string): string {
  return familiarName(parseImageReference(name));
}
