import { constants, deflateRawSync, zstdCompressSync } from "node:zlib";
import { freeUsedUp } from "../threads/free-buffers.ts";

export interface BlockToCompress {
  readonly format: "gzip" | "zstd";
  readonly block: Uint8Array;
  /** gzip: the 32 KiB before the block. */
  readonly dictionary?: Uint8Array;
  readonly level: number;
  /** gzip: the last block ends the deflate stream. */
  readonly isLast: boolean;
}

/** gzip: a piece of one raw deflate stream; zstd: a frame of its own. In a buffer of its own. */
export function compressBlock({ format, block, dictionary, level, isLast }: BlockToCompress): Uint8Array {
  // Room for all of it, whatever it is: else the library makes many buffers, and joins them.
  const chunkSize = block.length + (block.length >> 8) + (64 << 10);
  const compressed =
    format === "zstd"
      ? zstdCompressSync(block, { chunkSize, params: { [constants.ZSTD_c_compressionLevel]: level } })
      : deflateRawSync(block, {
          chunkSize,
          level,
          memLevel: 9,
          finishFlush: isLast ? constants.Z_FINISH : constants.Z_SYNC_FLUSH,
          ...(dictionary === undefined || dictionary.length === 0 ? {} : { dictionary }),
        });
  const own = Buffer.allocUnsafeSlow(compressed.length);
  own.set(compressed);
  // At once, so that no collection has to look for it.
  if (compressed.buffer.byteLength === chunkSize) (compressed.buffer as ArrayBuffer).transfer(0);
  return own;
}

/** Nobody reads the block any more. */
export function freeBlock({ block, dictionary }: BlockToCompress): void {
  freeUsedUp(block);
  if (dictionary !== undefined) freeUsedUp(dictionary);
}
