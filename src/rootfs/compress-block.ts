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

/** gzip: a piece of one raw deflate stream; zstd: a frame of its own. */
export function compressBlock({ format, block, dictionary, level, isLast }: BlockToCompress): Uint8Array {
  if (format === "zstd") {
    return zstdCompressSync(block, { params: { [constants.ZSTD_c_compressionLevel]: level } });
  }
  return deflateRawSync(block, {
    level,
    memLevel: 9,
    finishFlush: isLast ? constants.Z_FINISH : constants.Z_SYNC_FLUSH,
    ...(dictionary === undefined || dictionary.length === 0 ? {} : { dictionary }),
  });
}

/** Nobody reads the block any more. */
export function freeBlock({ block, dictionary }: BlockToCompress): void {
  freeUsedUp(block);
  if (dictionary !== undefined) freeUsedUp(dictionary);
}
