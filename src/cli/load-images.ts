import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { tagImage } from "../export/tag-image.ts";
import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import { openOciLayout } from "../image/open-oci-layout.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { digestHex } from "../oci/digest.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import type { ImageIndex } from "../oci/manifest.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { formatPlatform, normalizePlatform, type Platform } from "../oci/platform.ts";
import { familiarName, parseImageReference } from "../oci/reference.ts";
import { cleanPath } from "../rootfs/rootfs-path.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { writeBlob } from "../store/blobs.ts";
import { writeImage } from "../store/images.ts";
import { measureFile } from "./measure-file.ts";

/** An entry of manifest.json, Docker image specification 1.2. */
interface DockerEntry {
  readonly Config: string;
  readonly RepoTags?: readonly string[] | null;
  readonly Layers: readonly string[];
}

/**
 * Takes the images of an unpacked archive into the store.
 *
 * @returns a line for each, in docker's words.
 * @throws BuildError `image-invalid`, `verification`, `image-not-found`.
 */
export async function loadImages(
  access: ImageAccess,
  directory: string,
  platform: Platform,
): Promise<string[]> {
  if (existsSync(join(directory, "index.json"))) return loadOciImages(access, directory, platform);
  if (existsSync(join(directory, "manifest.json"))) return loadDockerImages(access, directory);
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

async function loadDockerImages(access: ImageAccess, directory: string): Promise<string[]> {
  const entries = await readJson<readonly DockerEntry[]>(directory, "manifest.json");
  const lines: string[] = [];
  for (const { Config, RepoTags, Layers } of entries) {
    const bytes = await readFile(join(directory, cleanPath(Config)));
    const config = JSON.parse(bytes.toString("utf8")) as ImageConfig;
    if (config.rootfs?.diff_ids?.length !== Layers.length) {
      throw new BuildError(
        "image-invalid",
        `Cannot load "${Config}": it lists other layers than manifest.json`,
      );
    }
    const layers: LazyLayer[] = [];
    for (const [position, name] of Layers.entries()) {
      layers.push(
        await loadLayer(access, join(directory, cleanPath(name)), config.rootfs.diff_ids[position]!),
      );
    }
    const configDigest = await writeBlob(access.store, bytes);
    const image = { platform: normalizePlatform(config), config, configDigest, layers };
    tagImage(access, image, RepoTags ?? []);
    lines.push(...describe(RepoTags ?? [], configDigest));
  }
  return lines;
}

async function loadLayer(
  { store, work, signal }: ImageAccess,
  path: string,
  diffId: ImageConfig["rootfs"]["diff_ids"][number],
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
