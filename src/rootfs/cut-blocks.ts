import { NO_LIMITS } from "../errors/input-limits.ts";
import { TAR_BLOCK, tarPadding } from "./tar-header.ts";
import { type TarHandler, TarReader } from "./tar-reader.ts";

export interface BlockSizes {
  /** In bytes: from this size on a block ends where the next member begins; a member this large begins a block. */
  readonly aim: number;
  /** In bytes: no block is larger. */
  readonly limit: number;
}

/**
 * Cuts a tar into blocks that are compressed independently. Where the cuts are depends on the tar alone, not on the pieces
 * it arrives in: the same tar gives the same compressed bytes for any number of threads. Each block has its own buffer.
 */
export class BlockCutter {
  readonly #sizes: BlockSizes;
  readonly #output: (block: Buffer) => void;
  readonly #reader: TarReader;
  /** What arrived and is in no block yet; begins at `#start`. */
  #pending: Buffer;
  #fill = 0;
  #start = 0;
  /** Where the next member's header begins. */
  #nextMember = 0;

  constructor(sizes: BlockSizes, output: (block: Buffer) => void) {
    this.#sizes = sizes;
    this.#output = output;
    this.#pending = Buffer.allocUnsafeSlow(sizes.limit * 2);
    const handler: TarHandler = {
      member: (_, { dataOffset, storedSize }) => {
        this.#meetMember(this.#nextMember, storedSize);
        this.#nextMember = dataOffset + storedSize + tarPadding(storedSize);
      },
      content() {},
      memberEnd() {},
    };
    this.#reader = new TarReader(handler, { limits: NO_LIMITS });
  }

  write(chunk: Uint8Array): void {
    // Small pieces, so that what is pending stays small.
    for (let at = 0; at < chunk.length; at += TAR_BLOCK * 128) {
      const piece = chunk.subarray(at, at + TAR_BLOCK * 128);
      this.#append(piece);
      this.#reader.write(piece);
      this.#cutFull();
    }
  }

  /** Gives out the rest. There may have been no block at all. */
  end(): void {
    while (this.#fill > this.#sizes.limit) this.#cut(this.#sizes.limit);
    if (this.#fill > 0) this.#cut(this.#fill);
  }

  #meetMember(at: number, size: number): void {
    while (at - this.#start > this.#sizes.limit) this.#cut(this.#sizes.limit);
    const { aim } = this.#sizes;
    if (at > this.#start && (at - this.#start >= aim || size >= aim)) this.#cut(at - this.#start);
  }

  #cutFull(): void {
    while (this.#fill > this.#sizes.limit && !this.#mayEndBefore(this.#start + this.#sizes.limit)) {
      this.#cut(this.#sizes.limit);
    }
  }

  /** A header whose place is known but which is not read yet may still end the block. */
  #mayEndBefore(end: number): boolean {
    return !this.#reader.isAtEnd && this.#nextMember > this.#start && this.#nextMember <= end;
  }

  #append(piece: Uint8Array): void {
    if (this.#fill + piece.length > this.#pending.length) {
      const grown = Buffer.allocUnsafeSlow(this.#pending.length * 2 + piece.length);
      this.#pending.copy(grown, 0, 0, this.#fill);
      this.#pending = grown;
    }
    this.#pending.set(piece, this.#fill);
    this.#fill += piece.length;
  }

  #cut(size: number): void {
    const block = Buffer.allocUnsafeSlow(size);
    this.#pending.copy(block, 0, 0, size);
    this.#pending.copyWithin(0, size, this.#fill);
    this.#fill -= size;
    this.#start += size;
    this.#output(block);
  }
}
