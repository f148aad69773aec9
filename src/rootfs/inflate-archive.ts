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

async function inflateBzip2(
  chunks: Iterable<Uint8Array>,
  output: (chunk: Uint8Array) => void,
): Promise<void> {
  const { default: unbzip2 } = await import("unbzip2-stream");
  const stream = unbzip2();
  let failure: unknown;
  // It decodes within `write` and `end`.
  stream.on("data", (chunk: Buffer) => {
    try {
      if (failure === undefined) output(chunk);
    } catch (error) {
      failure = error;
    }
  });
  stream.on("error", (error: Error) => {
    failure ??= broken(error);
  });
  for (const chunk of chunks) {
    stream.write(Buffer.from(chunk));
    if (failure !== undefined) throw failure;
  }
  stream.end();
  if (failure !== undefined) throw failure;
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
