import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Digest } from "../src/oci/digest.ts";
import { digestHex } from "../src/oci/digest.ts";
import { digestBytes } from "../src/oci/digest-bytes.ts";
import { MEDIA_TYPE } from "../src/oci/media-type.ts";
import { type MemberLike, makeTar } from "./make-layers.ts";
import { runCommand } from "./slipway.ts";

/** An image made by hand of the layers that a test wants. */
export interface LayeredImage {
  /** Of the layers' blobs, bottom first. */
  readonly digests: readonly Digest[];
}

/** The members of a layer, or its whole tar. */
export type LayerLike = readonly MemberLike[] | Buffer;

/** Writes the image as an OCI layout that skopeo reads as `oci:DIRECTORY:latest`. Layers are gzip, bottom first. */
export async function writeLayeredLayout(
  directory: string,
  layers: readonly LayerLike[],
): Promise<LayeredImage> {
  const blobs = join(directory, "blobs/sha256");
  await mkdir(blobs, { recursive: true });
  const write = async (bytes: Uint8Array, mediaType: string) => {
    const digest = digestBytes(bytes);
    await writeFile(join(blobs, digestHex(digest)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const tars = layers.map((layer) => (Buffer.isBuffer(layer) ? layer : makeTar(layer)));
  const descriptors = await Promise.all(tars.map((tar) => write(gzipSync(tar), MEDIA_TYPE.ociLayerGzip)));
  const config = {
    architecture: "amd64",
    os: "linux",
    config: {},
    rootfs: { type: "layers", diff_ids: tars.map((tar) => digestBytes(tar)) },
    history: layers.map((_, at) => ({ created: "1970-01-01T00:00:00Z", created_by: `layer ${at}` })),
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociManifest,
    config: await write(encode(config), MEDIA_TYPE.ociConfig),
    layers: descriptors,
  };
  const descriptor = await write(encode(manifest), MEDIA_TYPE.ociManifest);
  const named = { ...descriptor, annotations: { "org.opencontainers.image.ref.name": "latest" } };
  await writeFile(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(join(directory, "index.json"), encode({ schemaVersion: 2, manifests: [named] }));
  return { digests: descriptors.map(({ digest }) => digest) };
}

/** Lets skopeo push a layout to a registry that speaks plain HTTP. */
export async function pushLayout(directory: string, reference: string): Promise<void> {
  const args = ["copy", "--preserve-digests", "--dest-tls-verify=false"];
  const { code, stderr } = await runCommand("skopeo", [
    ...args,
    `oci:${directory}:latest`,
    `docker://${reference}`,
  ]);
  if (code !== 0) throw new Error(`skopeo cannot push ${reference}:\n${stderr}`);
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** Lets skopeo make a layout an archive that `docker load` takes. */
export async function archiveLayout(directory: string, archive: string, name: string): Promise<void> {
  const { code, stderr } = await runCommand("skopeo", [
    "copy",
    `oci:${directory}:latest`,
    `docker-archive:${archive}:${name}`,
  ]);
  if (code !== 0) throw new Error(`skopeo cannot make ${archive}:\n${stderr}`);
}
