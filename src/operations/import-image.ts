import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type InputLimits, makeLimitError } from "../errors/input-limits.ts";
import { measureFile } from "../export/measure-file.ts";
import { tagImage } from "../export/tag-image.ts";
import { assembleImage } from "../image/assemble-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { Digest } from "../oci/digest.ts";
import { parseWantedPlatform } from "../oci/machine-platform.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { parseImageReference } from "../oci/reference.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { temporaryPath } from "../store/blobs.ts";
import { applyChanges, CHANGES_FILE, changesText } from "./apply-changes.ts";

export interface ImportOptions {
  readonly name?: string;
  /** Instructions that change the image's config, like `ENV A=b`. */
  readonly changes?: readonly string[];
  /** Called with the text that an error's `span` about the changes points into. */
  readonly onChanges?: (changes: { readonly file: string; readonly text: string }) => void;
  /** A comment for the history. */
  readonly message?: string;
  /** `os/architecture[/variant]`; this machine's when absent. */
  readonly platform?: string;
}

/**
 * Makes a root file system the only layer of a new image. What is wrong with the options is told before it is read.
 *
 * @param input the path of a tar, its URL, or its bytes; plain or compressed with gzip, bzip2, xz or zstd.
 * @returns the image's id.
 * @throws BuildError `option-invalid`, `dockerfile-syntax`, `layer-invalid`, `input-limit`.
 */
export async function importImage(
  access: ImageAccess,
  input: string | Readable,
  options: ImportOptions = {},
): Promise<Digest> {
  const { name, changes = [], message } = options;
  const platform = parseWantedPlatform(options.platform);
  options.onChanges?.({ file: CHANGES_FILE, text: changesText(changes) });
  const config = applyChanges(changes, platform);
  if (name !== undefined) parseImageReference(name);
  const from = typeof input === "string" ? input : "stdin";
  await using archive = await openArchive(access, input);
  const { path, digest, size } = archive;
  const { layer, written } = await storeWrittenLayer(access.store, (layersDirectory) =>
    access.work.ingestLayer(
      { layersDirectory, mediaType: MEDIA_TYPE.ociLayer, digest, size, from, bytes: path },
      { signal: access.signal },
    ),
  );
  const comment = message ?? `Imported from ${typeof input === "string" ? input : "-"}`;
  const image = await assembleImage(access, {
    platform,
    config: { ...platform, config, rootfs: { type: "layers", diff_ids: [] }, history: [{ comment }] },
    layers: [
      {
        layerId: layer.id,
        diffId: written.diffId,
        created: Date.now(),
        load: async () => layer,
        findIndex: () => layer,
      },
    ],
  });
  await tagImage(access, image, { names: name === undefined ? [] : [name] });
  return image.configDigest;
}

interface Archive extends AsyncDisposable {
  readonly path: string;
  readonly digest: Digest;
  readonly size: number;
}

/** A file, what a URL has, or bytes, which are kept until it is disposed. */
async function openArchive(access: ImageAccess, input: string | Readable): Promise<Archive> {
  const { store, limits, signal } = access;
  if (typeof input === "string") {
    if (/^https?:\/\//.test(input)) return downloadArchive(access, input);
    return { path: input, ...(await measureFile(input, signal)), async [Symbol.asyncDispose]() {} };
  }
  const path = temporaryPath(store);
  const dispose = () => rm(path, { force: true });
  try {
    const target = createWriteStream(path, { flags: "wx", mode: 0o600 });
    await pipeline(input, limitSize(limits), target, { signal });
    return { path, ...(await measureFile(path, signal)), [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function downloadArchive({ store, limits, signal }: ImageAccess, url: string): Promise<Archive> {
  const { download } = await import("../context/download.ts");
  const { HttpConnections } = await import("../registry/http-connections.ts");
  await using connections = new HttpConnections(process.env);
  const found = await download({ store, connections, limits, secrets: new Map() }, { url, signal });
  return {
    path: found.filePath,
    digest: found.digest,
    size: found.sizeBytes,
    async [Symbol.asyncDispose]() {},
  };
}

/** A pipe has no size that could be asked for before. */
function limitSize(limits: InputLimits) {
  return async function* (chunks: AsyncIterable<Uint8Array>) {
    let size = 0;
    for await (const chunk of chunks) {
      size += chunk.length;
      if (size > limits["download-size"]) {
        throw makeLimitError("download-size", "Cannot import from stdin: it is larger", limits);
      }
      yield chunk;
    }
  };
}
