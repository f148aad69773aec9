import { createReadStream } from "node:fs";
import { open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { BuildError } from "../errors/build-error.ts";
import type { ImageAccess } from "../image/image-access.ts";
import {
  type DockerArchiveImage,
  readDockerArchive,
  type UnpackedArchive,
} from "../image/read-docker-archive.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestHex } from "../oci/digest.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import type { Manifest } from "../oci/manifest.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { familiarName, type ImageReference } from "../oci/reference.ts";
import { type ArchiveCompression, DETECT_SIZE, detectArchiveCompression } from "../rootfs/inflate-archive.ts";
import type { CopySource, CopyTarget } from "./copy-image.ts";
import { copyToLayout, verifyBlob } from "./copy-layout.ts";
import { measureFile } from "./measure-file.ts";

/** An image's layers have no other forms. */
const LAYER_TYPE: Readonly<Partial<Record<ArchiveCompression, string>>> = {
  uncompressed: MEDIA_TYPE.ociLayer,
  gzip: MEDIA_TYPE.ociLayerGzip,
  zstd: MEDIA_TYPE.ociLayerZstd,
};

/**
 * An image of an unpacked docker archive, which has no manifest of its own: an OCI manifest is made for it. Layers stay as they are in
 * the archive, mostly uncompressed, unless they are to be compressed, or are so in a way that an image's layers cannot be.
 *
 * @param archive `wanted`: the name of one of several images. `isCompressed`: uncompressed layers become gzip, in files beside the archive's own.
 * @throws BuildError `image-not-found`, `image-invalid`, `verification`.
 */
export async function copyFromDockerArchive(
  access: Pick<ImageAccess, "work" | "signal">,
  archive: UnpackedArchive & { readonly wanted?: ImageReference; readonly isCompressed: boolean },
): Promise<CopySource> {
  const { signal } = access;
  const { name, directory, isCompressed } = archive;
  const image = chooseImage(await readDockerArchive(archive), archive);
  const paths = new Map<Digest, string>();
  const layers: Descriptor[] = [];
  for (const [position, path] of image.layerPaths.entries()) {
    const compression = detectArchiveCompression(await readHead(path, archive));
    const { digest, size } = await measureFile(path, signal);
    const diffId = image.config.rootfs.diff_ids[position];
    if (compression === "uncompressed" && digest !== diffId) {
      throw new BuildError(
        "verification",
        `Cannot use the docker archive "${name}": its layer ${position + 1} has the digest ${digest}, and its config says ${diffId}`,
      );
    }
    const mediaType = LAYER_TYPE[compression];
    const layer =
      mediaType === undefined || (compression === "uncompressed" && isCompressed)
        ? await compressLayer(access, { path, digest, size, diffId, directory })
        : { path, descriptor: { mediaType, digest, size } };
    paths.set(layer.descriptor.digest, layer.path);
    layers.push(layer.descriptor);
  }
  const { configBytes } = image;
  const config = {
    mediaType: MEDIA_TYPE.ociConfig,
    digest: digestBytes(configBytes),
    size: configBytes.length,
  };
  const manifest: Manifest = { schemaVersion: 2, mediaType: MEDIA_TYPE.ociManifest, config, layers };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const root = { mediaType: MEDIA_TYPE.ociManifest, digest: digestBytes(bytes), size: bytes.length };
  return {
    name,
    resolve: async () => ({ descriptor: root, bytes }),
    readManifest: async () => bytes,
    openBlob(descriptor, onProgress) {
      const path = paths.get(descriptor.digest);
      const stream =
        path === undefined
          ? Readable.from([configBytes])
          : createReadStream(path, { highWaterMark: 1 << 20, signal });
      return verifyBlob(stream, { descriptor, name, onProgress });
    },
  };
}

interface LayerFile {
  readonly path: string;
  readonly descriptor: Descriptor;
}

interface LayerToCompress {
  readonly path: string;
  readonly digest: Digest;
  readonly size: number;
  readonly diffId: Digest | undefined;
  /** For what is made of it. */
  readonly directory: string;
}

/** The bytes are those that a push of the same layer has. */
async function compressLayer(
  { work, signal }: Pick<ImageAccess, "work" | "signal">,
  { path, directory, ...blob }: LayerToCompress,
): Promise<LayerFile> {
  const layersDirectory = join(directory, "compressing");
  const request = { ...blob, mediaType: MEDIA_TYPE.ociLayer, layersDirectory, bytes: path };
  const { layer } = await work.ingestLayer(request, { signal });
  const blobPath = join(directory, `${digestHex(blob.digest)}.gz`);
  const { digest, size } = await work.packLayer({ layer, compression: "gzip", blobPath }, { signal });
  await rm(layersDirectory, { recursive: true });
  return { path: blobPath, descriptor: { mediaType: MEDIA_TYPE.ociLayerGzip, digest, size } };
}

function chooseImage(
  images: readonly DockerArchiveImage[],
  { name, wanted }: { readonly name: string; readonly wanted?: ImageReference },
): DockerArchiveImage {
  const found =
    wanted === undefined
      ? images.length === 1 && images[0]
      : images.find(({ names }) => names.some((text) => text === familiarName(wanted)));
  if (found) return found;
  const names = images.flatMap((image) => image.names);
  throw new BuildError(
    "image-not-found",
    wanted === undefined
      ? `Cannot use the docker archive "${name}": it has ${images.length} images`
      : `Cannot use the docker archive "${name}": it has no image "${familiarName(wanted)}"`,
    { hint: names.length === 0 ? undefined : `It has ${names.join(", ")}` },
  );
}

async function readHead(path: string, { name }: UnpackedArchive): Promise<Uint8Array> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(DETECT_SIZE), 0, DETECT_SIZE, 0);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new BuildError(
      "image-invalid",
      `Cannot use the docker archive "${name}": a layer is missing (${code})`,
      {
        cause: error,
      },
    );
  }
}

/** A layout that has docker's manifest.json, too: docker loads it, and it is an OCI layout for those that read one. */
export async function copyToDockerArchive(place: {
  readonly directory: string;
  readonly wanted?: ImageReference;
  readonly signal: AbortSignal;
}): Promise<CopyTarget> {
  const { directory, wanted, signal } = place;
  const layout = await copyToLayout({ directory, name: wanted, signal });
  return {
    ...layout,
    holdsIndexes: false,
    async writeRoot(document) {
      const { config, layers } = JSON.parse(Buffer.from(document.bytes).toString("utf8")) as Manifest;
      const pathOf = ({ digest }: Descriptor) => `blobs/sha256/${digestHex(digest)}`;
      const names = wanted === undefined ? null : [familiarName(wanted)];
      const entry = { Config: pathOf(config), RepoTags: names, Layers: layers.map(pathOf) };
      await writeFile(join(directory, "manifest.json"), JSON.stringify([entry]));
      await layout.writeRoot(document);
    },
  };
}
