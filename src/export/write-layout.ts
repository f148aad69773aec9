import { copyFile, mkdir, open, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { explainWrite } from "../errors/explain-write.ts";
import { completeBlobs, type WrittenManifest } from "../image/assemble-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestHex } from "../oci/digest.ts";
import { familiarName, formatImageReference, type ImageReference } from "../oci/reference.ts";
import { encodeTarMember, TAR_END } from "../rootfs/tar-writer.ts";
import { blobSize } from "../store/blobs.ts";
import { writeWhole } from "./write-whole.ts";

export interface LayoutImage {
  /** What index.json lists: a manifest or an index. */
  readonly root: Descriptor;
  readonly manifests: readonly WrittenManifest[];
  readonly names: readonly ImageReference[];
}

export interface LayoutOptions {
  readonly images: readonly LayoutImage[];
  /** manifest.json too, so that `docker load` of any version takes it. */
  readonly forDocker: boolean;
  /** When the images were made, for index.json (RFC 3339). */
  readonly created?: string;
}

/** A file of a layout: its text, or a blob of the store. */
type LayoutFile = { readonly path: string } & ({ readonly text: string } | { readonly digest: Digest });

/** Writes an OCI image layout (image spec 1.1, image-layout.md) as a tar to a stream. The stream is not ended. */
export async function writeLayoutArchive(
  access: ImageAccess,
  output: Writable,
  options: LayoutOptions,
): Promise<void> {
  await completeBlobs(options.images.flatMap(({ manifests }) => manifests));
  await pipeline(Readable.from(copyChunks(encodeArchive(access, options))), output, {
    signal: access.signal,
    end: false,
  });
}

/** The same into a file, which appears whole or not at all. */
export async function writeLayoutFile(
  access: ImageAccess,
  path: string,
  options: LayoutOptions,
): Promise<void> {
  await completeBlobs(options.images.flatMap(({ manifests }) => manifests));
  await writeWhole(path, async (temporary) => {
    await using file = await open(temporary, "w");
    for await (const chunk of encodeArchive(access, options)) {
      access.signal.throwIfAborted();
      await file.writeFile(chunk);
    }
  });
}

/** The same as a directory; files that it has already are replaced. */
export async function writeLayoutDirectory(
  access: ImageAccess,
  directory: string,
  options: LayoutOptions,
): Promise<void> {
  await completeBlobs(options.images.flatMap(({ manifests }) => manifests));
  await explainWrite(directory, async () => {
    for (const file of listFiles(options)) {
      access.signal.throwIfAborted();
      const path = join(directory, file.path);
      await mkdir(dirname(path), { recursive: true });
      if ("text" in file) await writeFile(path, file.text);
      else await copyFile(access.store.blobPath(file.digest), path);
    }
  });
}

/** A chunk is valid until the next one is asked for. */
async function* encodeArchive({ store }: ImageAccess, options: LayoutOptions): AsyncGenerator<Uint8Array> {
  for (const name of ["blobs", "blobs/sha256"])
    yield encodeTarMember(member(name, { type: "directory", mode: 0o755, size: 0 }));
  for (const file of listFiles(options)) {
    const size = "text" in file ? Buffer.byteLength(file.text) : await blobSize(store, file.digest);
    yield encodeTarMember(member(file.path, { type: "file", mode: 0o644, size }));
    if ("text" in file) yield Buffer.from(file.text);
    else yield* readChunks(store.blobPath(file.digest));
    yield Buffer.alloc((512 - (size % 512)) % 512);
  }
  yield TAR_END;
}

/** For a stream, which reads ahead. */
async function* copyChunks(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

/** In one buffer: as many as a file has chunks would lie about until the collector comes. */
async function* readChunks(path: string): AsyncGenerator<Uint8Array> {
  await using file = await open(path);
  const buffer = Buffer.allocUnsafeSlow(1 << 20);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

function member(
  name: string,
  fields: { readonly type: "file" | "directory"; readonly mode: number; readonly size: number },
) {
  return {
    name,
    uid: 0,
    gid: 0,
    mtime: 0,
    mtimeNs: 0,
    linkName: "",
    deviceMajor: 0,
    deviceMinor: 0,
    ...fields,
  };
}

function listFiles({ images, forDocker, created }: LayoutOptions): LayoutFile[] {
  const digests = new Set<Digest>();
  for (const { root, manifests } of images) {
    digests.add(root.digest);
    for (const { descriptor, manifest } of manifests) {
      for (const { digest } of [descriptor, manifest.config, ...manifest.layers]) digests.add(digest);
    }
  }
  const entries = images.flatMap(({ manifests, names }) => manifests.map((one) => dockerEntry(one, names)));
  const manifests = images.flatMap((image) => listRoots(image, created));
  return [
    ...[...digests].sort().map((digest) => ({ path: blobName(digest), digest })),
    ...(forDocker ? [{ path: "manifest.json", text: JSON.stringify(entries) }] : []),
    { path: "index.json", text: JSON.stringify({ schemaVersion: 2, manifests }) },
    { path: "oci-layout", text: JSON.stringify({ imageLayoutVersion: "1.0.0" }) },
  ];
}

/** An entry of index.json for each name; one without a name where there is none. */
function listRoots({ root, names }: LayoutImage, created: string | undefined): Descriptor[] {
  const annotations = {
    ...(created !== undefined && { "org.opencontainers.image.created": created }),
    ...root.annotations,
  };
  if (names.length === 0) return [Object.keys(annotations).length === 0 ? root : { ...root, annotations }];
  return names.map((name) => ({
    ...root,
    annotations: {
      ...annotations,
      "io.containerd.image.name": formatImageReference(name),
      "org.opencontainers.image.ref.name": name.tag ?? "latest",
    },
  }));
}

/** The manifest.json of Docker image specification 1.2, as `docker save` writes it. */
function dockerEntry({ manifest }: WrittenManifest, names: readonly ImageReference[]) {
  return {
    Config: blobName(manifest.config.digest),
    RepoTags: names.length === 0 ? null : names.map(familiarName),
    Layers: manifest.layers.map(({ digest }) => blobName(digest)),
  };
}

function blobName(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}
