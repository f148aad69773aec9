import { BuildError } from "../errors/build-error.ts";
import type { Descriptor } from "../oci/descriptor.ts";

export interface UploadSourceOptions {
  readonly descriptor: Descriptor;
  readonly openStream: () => AsyncIterable<Uint8Array>;
  readonly onProgress?: (doneBytes: number) => void;
}

/**
 * A blob's bytes by ranges, mostly one after the other, for which one stream is enough; going back opens it again. Keeps its
 * own failures apart: they are not the registry's, and no reason to try again.
 */
export class UploadSource {
  readonly #options: UploadSourceOptions;
  readonly #action: string;
  #iterator: AsyncIterator<Uint8Array> | undefined;
  /** Where in the blob `#rest` begins, else where the stream stands. */
  #position = 0;
  #rest: Uint8Array | undefined;
  failure: unknown;

  /** `action` begins the message when the stream's length is not the descriptor's. */
  constructor(options: UploadSourceOptions, action: string) {
    this.#options = options;
    this.#action = action;
  }

  /** The bytes from `begin` up to `end`; at the blob's end the stream must end, too. */
  async *take(begin: number, end: number): AsyncGenerator<Uint8Array> {
    const { descriptor, onProgress } = this.#options;
    if (this.#iterator === undefined || this.#position > begin) await this.#open();
    while (this.#position < end) {
      const piece = this.#rest ?? (await this.#next());
      if (piece === undefined) throw this.#wrongSize(String(this.#position));
      const from = Math.min(Math.max(begin - this.#position, 0), piece.length);
      const to = Math.min(end - this.#position, piece.length);
      this.#rest = to < piece.length ? piece.subarray(to) : undefined;
      this.#position += to;
      // Before the last bytes go out: with them the registry has all that it was told of, and accepts.
      if (this.#position === descriptor.size && (this.#rest ?? (await this.#next())) !== undefined) {
        throw this.#wrongSize(`more than ${descriptor.size}`);
      }
      if (to > from) {
        yield piece.subarray(from, to);
        onProgress?.(this.#position);
      }
    }
  }

  async close(): Promise<void> {
    const iterator = this.#iterator;
    this.#iterator = undefined;
    // The stream is not needed any more: that it breaks now does not matter.
    await iterator?.return?.()?.then(undefined, () => {});
  }

  async #open(): Promise<void> {
    await this.close();
    this.#position = 0;
    this.#rest = undefined;
    try {
      this.#iterator = this.#options.openStream()[Symbol.asyncIterator]();
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  /** The next piece that is not empty. */
  async #next(): Promise<Uint8Array | undefined> {
    try {
      for (;;) {
        const result = await this.#iterator?.next();
        if (result === undefined || result.done) return undefined;
        if (result.value.length > 0) return result.value;
      }
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  #wrongSize(found: string): BuildError {
    const { size } = this.#options.descriptor;
    const message = `${this.#action}: it has ${found} bytes, and its descriptor says ${size}`;
    const error = new BuildError("verification", message);
    this.failure = error;
    return error;
  }
}
