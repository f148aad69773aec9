import { open } from "node:fs/promises";
import type { Digest } from "../oci/digest.ts";

const PIECE_BYTES = 256 << 10;

/** A blob that is being written to a file, for those who read it meanwhile. Its writer says when there is more, and when it is whole. */
export class GrowingBlob {
  #path: string;
  #digest: Digest | undefined;
  #failure: { readonly error: unknown } | undefined;
  #news = Promise.withResolvers<void>();

  constructor(path: string) {
    this.#path = path;
  }

  /** Known once the blob is whole. */
  get digest(): Digest | undefined {
    return this.#digest;
  }

  grow(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  /** It is whole, and lies at its place in the store. */
  end(digest: Digest, path: string): void {
    this.#digest = digest;
    this.#path = path;
    this.grow();
  }

  /** Readers fail with this error. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.grow();
  }

  /** From its beginning to the end that it will have. */
  async *read(): AsyncGenerator<Uint8Array> {
    await using file = await open(this.#path);
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      // Both before the read: what comes after them is met in the next round.
      const isWhole = this.#digest !== undefined;
      const news = this.#news.promise;
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(PIECE_BYTES));
      if (bytesRead > 0) yield buffer.subarray(0, bytesRead);
      else if (isWhole) return;
      else await news;
    }
  }
}
