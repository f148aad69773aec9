import { createHash } from "node:crypto";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { Digest } from "../oci/digest.ts";
import type { Compression } from "../oci/media-type.ts";
import {
  openPackedBlocks,
  type PackedBlock,
  type PackedBlocks,
  type PackedBlocksPlace,
} from "../store/packed-blocks.ts";
import { freeUsedUp } from "../threads/free-buffers.ts";
import { type BlockToCompress, compressBlock, freeBlock } from "./compress-block.ts";
import { BlockCutter, type BlockSizes } from "./cut-blocks.ts";
import type { Layer } from "./layer.ts";
import { tarChunks } from "./tar-chunks.ts";

export interface PackRequest {
  readonly layer: Layer;
  readonly compression: Compression;
  /** gzip: 0 to 9, 5 by default; zstd: 1 to 22, 3 by default. */
  readonly level?: number;
  /** Where the blob is written, not synced; can be read while it grows. Nothing is left there of a blob that failed. */
  readonly blobPath: string;
  /** Blocks that were compressed before are not compressed again. The blob has to go where it says. */
  readonly reuse?: PackedBlocksPlace & {
    /** What else the bytes depend on: the library, its version, the architecture. */
    readonly encoder: string;
  };
}

export interface PackedLayer {
  /** Of the blob. */
  readonly digest: Digest;
  /** Of the blob, in bytes. */
  readonly size: number;
  readonly diffId: Digest;
  readonly tarSizeBytes: number;
}

export interface PackOptions {
  /** Compresses a block somewhere; in this thread by default. May take the block's buffers. */
  readonly compress?: (block: BlockToCompress) => Promise<Uint8Array>;
  /** How many blocks may be compressed at a time; 1 by default. */
  readonly parallel?: number;
  readonly throwIfAborted?: () => void;
  /** Called with the number of the tar's bytes that were read. */
  readonly onProgress?: (doneBytes: number) => void;
}

const BLOCK_SIZES: Readonly<Record<"gzip" | "zstd", BlockSizes>> = {
  gzip: { aim: 128 << 10, limit: 1 << 20 },
  // Frames know nothing of each other, so they should not be small.
  zstd: { aim: 512 << 10, limit: 2 << 20 },
};
/** DIFFERS: docker's gzip has 6, which takes a third longer and makes layers smaller by a hundredth. */
export const DEFAULT_LEVEL = { gzip: 5, zstd: 3 } as const;
/** How far deflate looks back. */
const WINDOW_SIZE = 32 << 10;
/** RFC 1952: deflate, no name, no time, unknown system. */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);

/**
 * Writes a layer's blob and computes both of its digests in the same pass. The bytes depend on the tar, the format and
 * the level only (for one build of the compression library), not on the number of threads nor on what is reused.
 */
export async function packLayer(request: PackRequest, options: PackOptions = {}): Promise<PackedLayer> {
  const { layer, compression } = request;
  using blob = new BlobWriter(request.blobPath);
  const tarHash = layer.diffId === undefined ? createHash("sha256") : undefined;
  using compressor = compression === "uncompressed" ? undefined : new BlockCompressor(request, options, blob);
  let tarSizeBytes = 0;
  for (const chunk of tarChunks(layer)) {
    options.throwIfAborted?.();
    tarSizeBytes += chunk.length;
    tarHash?.update(chunk);
    if (compressor === undefined) blob.write(chunk);
    else await compressor.write(chunk);
    options.onProgress?.(tarSizeBytes);
  }
  await compressor?.end(tarSizeBytes);
  const { digest, size } = blob.finish();
  compressor?.keepBlocks(digest);
  const diffId: Digest = layer.diffId ?? `sha256:${tarHash!.digest("hex")}`;
  return { digest, size, diffId, tarSizeBytes };
}

class BlockCompressor implements Disposable {
  readonly #format: "gzip" | "zstd";
  readonly #level: number;
  readonly #compress: (block: BlockToCompress) => Promise<Uint8Array>;
  readonly #parallel: number;
  readonly #blob: BlobWriter;
  readonly #cutter: BlockCutter;
  readonly #reuse: PackRequest["reuse"];
  #packed: PackedBlocks | undefined;
  readonly #written: PackedBlock[] = [];
  /** Cut, not yet compressed: the last one waits until it is known whether another follows. */
  readonly #blocks: Buffer[] = [];
  /** In the order of the blob. */
  readonly #underWay: { readonly key?: Uint8Array; readonly compressed: Promise<Uint8Array> }[] = [];
  #dictionary: Uint8Array | undefined;
  #crc = 0;

  constructor(request: PackRequest, options: PackOptions, blob: BlobWriter) {
    this.#format = request.compression as "gzip" | "zstd";
    this.#level = request.level ?? DEFAULT_LEVEL[this.#format];
    this.#compress = options.compress ?? (async (block) => compressBlock(block));
    this.#parallel = options.parallel ?? 1;
    this.#blob = blob;
    this.#reuse = request.reuse;
    this.#cutter = new BlockCutter(BLOCK_SIZES[this.#format], (block) => this.#blocks.push(block));
    if (this.#format === "gzip") blob.write(GZIP_HEADER);
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#format === "gzip") this.#crc = crc32(chunk, this.#crc);
    this.#cutter.write(chunk);
    while (this.#blocks.length > 1) await this.#start(this.#blocks.shift()!, false);
  }

  async end(tarSizeBytes: number): Promise<void> {
    this.#cutter.end();
    while (this.#blocks.length > 1) await this.#start(this.#blocks.shift()!, false);
    await this.#start(this.#blocks.shift() ?? Buffer.alloc(0), true);
    while (this.#underWay.length > 0) await this.#writeNext();
    if (this.#format !== "gzip") return;
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(this.#crc, 0);
    trailer.writeUInt32LE(tarSizeBytes % 2 ** 32, 4);
    this.#blob.write(trailer);
  }

  /** For later layers that have blocks of this one, once it is a blob. */
  keepBlocks(blob: Digest): void {
    if (this.#written.length > 0) this.#packed?.keep(blob, this.#written);
  }

  [Symbol.dispose](): void {
    this.#packed?.[Symbol.dispose]();
  }

  async #start(block: Buffer, isLast: boolean): Promise<void> {
    const dictionary = this.#dictionary;
    // A copy: the block's own buffer may go to another thread, and so may that of the dictionary before.
    if (this.#format === "gzip") this.#dictionary = lastBytes(block, dictionary);
    const request: BlockToCompress = {
      format: this.#format,
      block,
      level: this.#level,
      isLast,
      ...(dictionary === undefined ? {} : { dictionary }),
    };
    // The last block is left out: a layer of one block is compressed sooner than anything is looked up.
    const key = this.#reuse === undefined || isLast ? undefined : keyOf(request, this.#reuse.encoder);
    if (key !== undefined) this.#packed ??= openPackedBlocks(this.#reuse!);
    const found = key && this.#packed!.find(key);
    const compressed = found === undefined ? this.#compress(request) : Promise.resolve(found);
    if (found !== undefined) freeBlock(request);
    // A failure is met when its turn comes.
    compressed.catch(() => {});
    this.#underWay.push({ compressed, ...(key && { key }) });
    while (this.#underWay.length >= this.#parallel) await this.#writeNext();
  }

  async #writeNext(): Promise<void> {
    const { key, compressed } = this.#underWay.shift()!;
    const bytes = await compressed;
    if (key !== undefined) {
      this.#written.push({ key, start: this.#blob.size, size: bytes.length, crc: crc32(bytes) });
    }
    this.#blob.write(bytes);
    freeUsedUp(bytes);
  }
}

/** All that the compressed bytes of a block depend on. */
function keyOf({ format, level, dictionary, block }: BlockToCompress, encoder: string): Buffer {
  const hash = createHash("sha256").update(`${format} ${level} ${encoder} ${dictionary?.length ?? 0}\n`);
  if (dictionary !== undefined) hash.update(dictionary);
  return hash.update(block).digest();
}

/** The window that the next block sees. */
function lastBytes(block: Buffer, before: Uint8Array = Buffer.alloc(0)): Buffer {
  if (block.length >= WINDOW_SIZE) return ownCopy(block.subarray(block.length - WINDOW_SIZE));
  const kept = before.subarray(Math.max(0, before.length - (WINDOW_SIZE - block.length)));
  return ownCopy(Buffer.concat([kept, block]));
}

function ownCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

/** A blob in the making: hashed as it is written, removed unless it becomes complete. */
class BlobWriter implements Disposable {
  readonly #path: string;
  readonly #fd: number;
  readonly #hash = createHash("sha256");
  /** What is written so far, in bytes. */
  size = 0;
  #isComplete = false;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, "w", 0o644);
  }

  write(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.size += bytes.length;
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
  }

  finish(): { readonly digest: Digest; readonly size: number } {
    this.#isComplete = true;
    return { digest: `sha256:${this.#hash.digest("hex")}`, size: this.size };
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    if (!this.#isComplete) rmSync(this.#path, { force: true });
  }
}
