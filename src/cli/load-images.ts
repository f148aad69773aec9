import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { measureFile } from "../export/measure-file.ts";
import { tagImage } from "../export/tag-image.ts";
import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import { openOciLayout } from "../image/open-oci-layout.ts";
import { readDockerArchive, type UnpackedArchive } from "../image/read-docker-archive.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestHex } from "../oci/digest.ts";
import type { ImageIndex } from "../oci/manifest.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { formatPlatform, normalizePlatform, type Platform } from "../oci/platform.ts";
import { familiarName, parseImageReference } from "../oci/reference.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { writeBlob } from "../store/blobs.ts";
import { writeImage } from "../store/images.ts";

/**
 * Takes the images of an unpacked archive into the store.
 *
 * @returns a line for each, in docker's words.
 * @throws BuildError `image-invalid`, `verification`, `image-not-found`.
 */
export async function loadImages(
  access: ImageAccess,
  {
    directory,
    name,
    platform,
  }: { readonly directory: string; readonly name: string; readonly platform: Platform },
): Promise<string[]> {
  if (existsSync(join(directory, "index.json"))) return loadOciImages(access, directory, platform);
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

async function loadOciImages(access: ImageAccess, directory: string, platform: Platform): Promise<string[]> {
  const index = await readJson<ImageIndex>(directory, "index.json");
  const lines: string[] = [];
  for (const digest of new Set(index.manifests.map((entry) => entry.digest))) {
    const names = index.manifests.filter((entry) => entry.digest === digest).flatMap(nameOf);
    const image = await openOciLayout(access, { directory, selector: digest, platform });
    await Promise.all(image.layers.map((layer) => layer.load()));
    const keep = (blob: Descriptor["digest"]) => copyDocument(access, directory, blob);
    await keep(image.configDigest);
    await keep(image.manifestDescriptor.digest);
    tagImage(access, image, names);
    writeImage(access.store, {
      configDigest: image.configDigest,
      manifestDigest: image.manifestDescriptor.digest,
      platform: formatPlatform(image.platform),
      sizeBytes: 0,
      created: Date.parse(image.config.created ?? "") || 0,
    });
    lines.push(...describe(names, image.configDigest));
  }
  return lines;
}

/** containerd's annotation has the whole name; the spec's is only a tag, unless a tool put more into it. */
function nameOf({ annotations }: Descriptor): string[] {
  const full = annotations?.["io.containerd.image.name"];
  const short = annotations?.["org.opencontainers.image.ref.name"];
  const name = full ?? (short?.includes(":") || short?.includes("/") ? short : undefined);
  return name === undefined ? [] : [name];
}

async function copyDocument(
  { store }: ImageAccess,
  directory: string,
  digest: Descriptor["digest"],
): Promise<void> {
  await writeBlob(store, await readFile(join(directory, "blobs/sha256", digestHex(digest))));
}

async function loadDockerImages(access: ImageAccess, archive: UnpackedArchive): Promise<string[]> {
  const lines: string[] = [];
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
    tagImage(access, { platform: normalizePlatform(config), config, configDigest, layers }, names);
    lines.push(...describe(names, configDigest));
  }
  return lines;
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

async function readJson<T>(directory: string, name: string): Promise<T> {
  try {
    return JSON.parse(await readFile(join(directory, name), "utf8")) as T;
  } catch (error) {
    throw new BuildError("image-invalid", `Cannot load the archive: its ${name} is no JSON`, {
      cause: error,
    });
  }
}

function describe(names: readonly string[], id: string): string[] {
  if (names.length === 0) return [`Loaded image ID: ${id}`];
  return names.map((name) => `Loaded image: ${familiarName(parseImageReference(name))}`);
}
