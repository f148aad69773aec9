import makeBitReader from "unbzip2-stream/lib/bit_iterator.js";
import bzip2 from "unbzip2-stream/lib/bzip2.js";
import { CUT_OFF, DAMAGED, makeDataError } from "./inflate.ts";
import type { ArchiveInput } from "./inflate-archive.ts";

/** What the decoder gives away at once, in bytes. */
const PIECE_SIZE = 64 << 10;

/**
 * As `inflateArchive`, for bzip2: with the parts of `unbzip2-stream`, not its stream. That one holds a block at a time, which forty bytes
 * can make 46 MB of (and many more as the array that it is), and goes on when its reader has seen enough.
 */
export async function inflateBzip2(chunks: ArchiveInput, output: (chunk: Uint8Array) => void): Promise<void> {
  const input = new BlockInput(chunks);
  const piece = Buffer.allocUnsafeSlow(PIECE_SIZE);
  let fill = 0;
  let failure: unknown;
  const flush = () => {
    try {
      output(piece.subarray(0, fill));
      fill = 0;
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  const take = (byte: number) => {
    piece[fill++] = byte;
    if (fill === PIECE_SIZE) flush();
  };
  const decode = <Value>(step: () => Value): Value => {
    try {
      return step();
    } catch (error) {
      if (failure !== undefined) throw failure;
      // What was right before counts, as it does where an error comes in a later piece.
      if (fill > 0) flush();
      throw makeDataError(input.isCutOff ? CUT_OFF : DAMAGED, error);
    }
  };
  await input.readAhead();
  const bits = decode(() => makeBitReader(() => input.next()));
  do {
    const blockSize = 100_000 * decode(() => bzip2.header(bits));
    const block = new Int32Array(blockSize);
    for (let crc: number | null = 0; crc !== null; ) {
      const before: number = crc;
      crc = decode(() => bzip2.decompress(bits, take, block, blockSize, before));
      await input.readAhead();
    }
    // Several streams may follow each other.
  } while (input.givenBytes > bits.bytesRead || input.hasMore);
  if (fill > 0) flush();
}

/** More than a block can take: 900,000 symbols of 20 bits each at most, and its tables. */
const BLOCK_MAX_BYTES = 3 << 20;

/** The decoder reads with calls that do not wait, so what it may read for a block is there before. */
class BlockInput {
  readonly #chunks: ArchiveInput;
  readonly #ahead: Uint8Array[] = [];
  #aheadBytes = 0;
  givenBytes = 0;
  isCutOff = false;

  constructor(chunks: ArchiveInput) {
    this.#chunks = chunks;
  }

  get hasMore(): boolean {
    return this.#ahead.length > 0;
  }

  async readAhead(): Promise<void> {
    while (this.#aheadBytes < BLOCK_MAX_BYTES) {
      const { done, value } = await this.#chunks.next();
      if (done) return;
      this.#ahead.push(Uint8Array.from(value));
      this.#aheadBytes += value.length;
    }
  }

  next(): Uint8Array {
    const chunk = this.#ahead.shift();
    if (chunk === undefined) {
      this.isCutOff = true;
      throw new Error("the decoder wants more");
    }
    this.#aheadBytes -= chunk.length;
    this.givenBytes += chunk.length;
    return chunk;
  }
}
