import { createHash } from "node:crypto";
import { closeSync, fdatasync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { BuildError } from "../errors/build-error.ts";
import { DEFAULT_LIMITS, type InputLimits, makeExpansionCheck } from "../errors/input-limits.ts";
import type { Digest } from "../oci/digest.ts";
import { freeUsedUp } from "../threads/free-buffers.ts";
import { ContentHash } from "./content-hash.ts";
import type { Entry } from "./entry.ts";
import { inflateArchive } from "./inflate-archive.ts";
import type { Layer } from "./layer.ts";
import { LayerWriter } from "./layer-writer.ts";
import { layerEntryOf } from "./member-entry.ts";
import { type TarHandler, TarReader } from "./tar-reader.ts";

/** A layer's blob that enters, and where it goes. */
export interface IngestRequest {
  /** The layer becomes `<layersDirectory>/<hex of its diff ID>`, with the files `tar` and `index`. */
  readonly layersDirectory: string;
  readonly mediaType: string;
  readonly digest: Digest;
  /** Of the blob, in bytes. */
  readonly size: number;
  /** A file that is made for the blob itself, and stays when it was verified: not synced, so not yet its place. It is not kept when absent. */
  readonly blobPath?: string;
  /** What the image's config says it is; refused when it is not so. */
  readonly diffId?: Digest;
  /** Where the blob comes from, for messages. */
  readonly from?: string;
  /** `DEFAULT_LIMITS` when absent. */
  readonly limits?: InputLimits;
  /** False leaves out the file `tar`: only what the layer has in it is wanted, not its bytes. */
  readonly keepsTar?: boolean;
}

export interface IngestedLayer {
  readonly layer: Layer & { readonly diffId: Digest };
  readonly diffId: Digest;
  readonly tarSizeBytes: number;
}

export interface IngestOptions {
  /** The blob. A chunk is freed when it was read: nobody else has its buffer. */
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
  /** Called with the number of the blob's bytes that were read. */
  readonly onProgress?: (doneBytes: number) => void;
}

/**
 * Reads a layer's blob once: verifies its digest and size, keeps it, inflates it (by what the bytes are, not by the media
 * type), computes the diff ID, keeps the plain tar and indexes it. Nothing is left behind when it fails.
 * @throws BuildError `verification`, `image-invalid`, `input-limit`.
 */
export async function ingestLayer(request: IngestRequest, options: IngestOptions): Promise<IngestedLayer> {
  const { limits = DEFAULT_LIMITS } = request;
  using writer = new LayerWriter(request.layersDirectory, {
    limit: { name: "layer-entries", limits },
    keepsTar: request.keepsTar,
  });
  using blob = new BlobFile(request);
  const what = "Cannot read the layer: unpacked it is larger";
  const checkExpansion = makeExpansionCheck(request.size, { what, limits });
  const checkSize = (moreBytes: number) => checkExpansion(writer.offset + writer.expanded.offset + moreBytes);
  const reader = new TarReader(collectEntries(writer, checkSize), { limits });
  const takePlain = (chunk: Uint8Array) => {
    checkSize(chunk.length);
    writer.write(chunk);
    reader.write(chunk);
  };
  try {
    const skipsChecksum = request.diffId !== undefined;
    await inflateArchive(takeBlob(blob, options), takePlain, { keepsChunks: true, skipsChecksum });
    reader.end();
  } catch (error) {
    throw nameLayer(error, request);
  }
  const written = writer.finish((diffId) => {
    if (request.diffId !== undefined && diffId !== request.diffId) {
      throw new BuildError(
        "verification",
        `${actionOf(request)}: its diff ID is ${diffId}, the image says ${request.diffId}`,
      );
    }
  });
  await blob.whenFlushed;
  blob.keep();
  return written;
}

async function* takeBlob(
  blob: BlobFile,
  { bytes, signal, onProgress }: IngestOptions,
): AsyncGenerator<Uint8Array> {
  let before: Uint8Array | undefined;
  for await (const chunk of bytes) {
    signal?.throwIfAborted();
    blob.write(chunk);
    onProgress?.(blob.size);
    yield chunk;
    if (before !== undefined) freeUsedUp(before);
    before = chunk;
  }
  // A wrong blob explains a broken archive, so it is told first.
  blob.verify();
}

/** A file's bytes for `ingestLayer`, read with synchronous calls: for a worker thread. */
export async function* readFileChunks(path: string, chunkSize = 256 << 10): AsyncGenerator<Uint8Array> {
  const fd = openSync(path, "r");
  try {
    for (;;) {
      // Streams hold on to what they are given, so each chunk has its own buffer.
      const chunk = Buffer.allocUnsafeSlow(chunkSize);
      const read = readSync(fd, chunk, 0, chunkSize, null);
      if (read === 0) return;
      yield chunk.subarray(0, read);
    }
  } finally {
    closeSync(fd);
  }
}

/**
 * Adds the members of the tar that a writer gets to the writer's index; `checkSize` hears of each piece of a sparse file, in bytes. Contents are not
 * hashed, for few files of an image are ever asked about, but those of sparse files, for which no diff ID vouches.
 */
export function collectEntries(
  writer: LayerWriter,
  checkSize: (moreBytes: number) => void = () => {},
): TarHandler {
  let entry: Entry | undefined;
  let hash: ContentHash | undefined;
  return {
    member(member, { dataOffset, isSparse }) {
      entry = layerEntryOf(member, isSparse ? writer.expanded.offset : dataOffset);
      if (isSparse && entry?.dataOffset !== undefined) entry = { ...entry, sparse: true };
      hash = entry?.sparse ? new ContentHash(entry.size) : undefined;
    },
    content(chunk) {
      hash?.update(chunk);
      if (!entry?.sparse) return;
      checkSize(chunk.length);
      writer.expanded.write(chunk);
    },
    memberEnd() {
      if (entry !== undefined)
        writer.add(hash === undefined ? entry : { ...entry, contentHash: hash.digest() });
    },
  };
}

function nameLayer(error: unknown, request: IngestRequest): unknown {
  if (!(error instanceof BuildError) || error.message.includes(request.digest)) return error;
  const { code, message, hint, cause } = error;
  return new BuildError(code, `${actionOf(request)}: ${message}`, { hint, cause });
}

function actionOf({ digest, from }: IngestRequest): string {
  return `Cannot use the layer "${digest}"${from === undefined ? "" : ` of "${from}"`}`;
}

/** In bytes: how much of a blob waits at most to be written to the disk. Whoever gives it its place waits for all of it. */
const FLUSH_BYTES = 32 << 20;

/** The blob as it arrives: counted, hashed and, if it is to be kept, written. */
class BlobFile implements Disposable {
  readonly #request: IngestRequest;
  readonly #hash = createHash("sha256");
  readonly #fd: number | undefined;
  #isKept = false;
  #unflushedBytes = 0;
  #isFlushing = false;
  size = 0;
  /** Settles when nothing is on its way to the disk. */
  whenFlushed: Promise<void> = Promise.resolve();

  constructor(request: IngestRequest) {
    this.#request = request;
    if (request.blobPath === undefined) return;
    this.#fd = openSync(request.blobPath, "wx", 0o644);
  }

  write(chunk: Uint8Array): void {
    this.size += chunk.length;
    if (this.size > this.#request.size) this.#failSize(`more than ${this.#request.size}`);
    this.#hash.update(chunk);
    if (this.#fd === undefined) return;
    for (let at = 0; at < chunk.length; ) at += writeSync(this.#fd, chunk, at);
    this.#unflushedBytes += chunk.length;
    if (this.#unflushedBytes >= FLUSH_BYTES && !this.#isFlushing) this.#flush(this.#fd);
  }

  verify(): void {
    if (this.size !== this.#request.size) this.#failSize(String(this.size));
    const found: Digest = `sha256:${this.#hash.digest("hex")}`;
    if (found === this.#request.digest) return;
    throw new BuildError("verification", `${actionOf(this.#request)}: its digest is ${found}`);
  }

  keep(): void {
    this.#isKept = true;
  }

  [Symbol.dispose](): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    if (!this.#isKept) rmSync(this.#request.blobPath!, { force: true });
  }

  #flush(fd: number): void {
    this.#isFlushing = true;
    this.#unflushedBytes = 0;
    this.whenFlushed = new Promise((flushed) => {
      // What fails here fails again when the blob is given its place.
      fdatasync(fd, () => {
        this.#isFlushing = false;
        flushed();
      });
    });
  }

  #failSize(found: string): never {
    const { size } = this.#request;
    throw new BuildError(
      "verification",
      `${actionOf(this.#request)}: it has ${found} bytes instead of ${size}`,
    );
  }
}
