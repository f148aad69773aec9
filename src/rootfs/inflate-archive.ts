import { ReadableStream } from "node:stream/web";
import { BuildError } from "../errors/build-error.ts";
import { detectCompression, makeInflater } from "./inflate.ts";

export type ArchiveCompression = "uncompressed" | "gzip" | "zstd" | "bzip2" | "xz";

/** By the first six bytes. */
export function detectArchiveCompression(head: Uint8Array): ArchiveCompression {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, 6)).toString("latin1");
  if (text.startsWith("BZh")) return "bzip2";
  if (text === "\xfd7zXZ\0") return "xz";
  return head.length < 4 ? "uncompressed" : detectCompression(head);
}

/**
 * Inflates an archive; `output` gets pieces that are valid during the call. The decoders of bzip2 and xz are loaded when
 * they are needed.
 * @throws what `output` throws; BuildError `copy-failed` when the data is broken.
 */
export async function inflateArchive(
  chunks: Iterable<Uint8Array>,
  compression: ArchiveCompression,
  output: (chunk: Uint8Array) => void,
): Promise<void> {
  if (compression === "bzip2") return inflateBzip2(chunks, output);
  if (compression === "xz") return inflateXz(chunks, output);
  const inflater = makeInflater(compression, output);
  try {
    for (const chunk of chunks) await inflater.write(chunk);
    await inflater.end();
  } finally {
    inflater.destroy();
  }
}

/** What the decoder gives away at once, in bytes. */
const PIECE_SIZE = 64 << 10;

/**
 * With the parts of `unbzip2-stream`, not its stream: that one holds a block at a time, which forty bytes can make 46 MB of
 * (and many more as the array that it is), and goes on when its reader has seen enough.
 */
async function inflateBzip2(
  chunks: Iterable<Uint8Array>,
  output: (chunk: Uint8Array) => void,
): Promise<void> {
  const { default: bzip2 } = await import("unbzip2-stream/lib/bzip2.js");
  const { default: makeBitReader } = await import("unbzip2-stream/lib/bit_iterator.js");
  const input = new CountedInput(chunks);
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
  try {
    const bits = makeBitReader(() => input.next());
    do {
      const blockSize = 100_000 * bzip2.header(bits);
      const block = new Int32Array(blockSize);
      for (let crc: number | null = 0; crc !== null; ) {
        crc = bzip2.decompress(bits, take, block, blockSize, crc);
      }
      // Several streams may follow each other.
    } while (input.hasMore(bits.bytesRead));
    if (fill > 0) flush();
  } catch (error) {
    throw failure ?? (error instanceof BuildError ? error : broken(error as Error));
  }
}

/** Pieces of input on demand, of which it is known whether all have been read. */
class CountedInput {
  readonly #iterator: Iterator<Uint8Array>;
  #ahead: Uint8Array | undefined;
  #givenBytes = 0;

  constructor(chunks: Iterable<Uint8Array>) {
    this.#iterator = chunks[Symbol.iterator]();
  }

  next(): Uint8Array {
    const chunk = this.#ahead ?? this.#pull();
    this.#ahead = undefined;
    if (chunk === undefined) throw new Error("it is cut off");
    this.#givenBytes += chunk.length;
    return chunk;
  }

  /** Asks for another piece only when the last one has been read: the source may use its buffer again for it. */
  hasMore(readBytes: number): boolean {
    if (this.#givenBytes > readBytes) return true;
    this.#ahead ??= this.#pull();
    return this.#ahead !== undefined;
  }

  #pull(): Uint8Array | undefined {
    for (;;) {
      const { done, value } = this.#iterator.next();
      if (done) return undefined;
      if (value.length > 0) return value;
    }
  }
}

type XzModule = Pick<typeof import("xz-decompress"), "XzReadableStream">;

async function inflateXz(chunks: Iterable<Uint8Array>, output: (chunk: Uint8Array) => void): Promise<void> {
  const loaded: XzModule & { readonly default?: XzModule } = await import("xz-decompress");
  // Node shows its CommonJS exports as the default one only.
  const { XzReadableStream } = loaded.default ?? loaded;
  const iterator = chunks[Symbol.iterator]();
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      const next = iterator.next();
      if (next.done) controller.close();
      else controller.enqueue(Uint8Array.from(next.value));
    },
  });
  const reader = new XzReadableStream(source as never).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        throw error instanceof BuildError ? error : broken(error as Error);
      });
      if (done) return;
      output(value as Uint8Array);
    }
  } finally {
    iterator.return?.();
  }
}

function broken(error: Error): BuildError {
  return new BuildError("copy-failed", `Cannot decompress the archive: ${error.message}`, { cause: error });
}
