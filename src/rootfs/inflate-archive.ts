import type { Compression } from "../oci/media-type.ts";
import { detectCompression, type Inflater, makeInflater } from "./inflate.ts";

export type ArchiveCompression = Compression | "bzip2" | "xz";

/** Bytes that `detectArchiveCompression` needs, fewer only at the end of a stream. */
export const DETECT_SIZE = 6;

/** By the first bytes, for names and media types lie. */
export function detectArchiveCompression(head: Uint8Array): ArchiveCompression {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, DETECT_SIZE)).toString(
    "latin1",
  );
  if (text.startsWith("BZh")) return "bzip2";
  if (text === "\xfd7zXZ\0") return "xz";
  return head.length < 4 ? "uncompressed" : detectCompression(head);
}

type Output = (chunk: Uint8Array) => void;

export interface InflateOptions {
  /** A chunk stays as it is until the next but one is asked for: gzip is inflated while the next chunk is got. */
  readonly keepsChunks?: boolean;
  /** Who takes what comes out knows its digest: gzip's own checksum is left out. */
  readonly skipsChecksum?: boolean;
}

/**
 * Inflates an archive or a layer by what its first bytes say it is; `output` gets pieces that are valid during the call. A chunk may be
 * used again when the next one is asked for, if not said otherwise; unless it throws, all are asked for. The decoders of bzip2 and xz are loaded when they are needed.
 *
 * @throws what `chunks` and `output` throw; BuildError `image-invalid` when the data is broken.
 */
export async function inflateArchive(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  output: Output,
  { keepsChunks = false, skipsChecksum }: InflateOptions = {},
): Promise<void> {
  const input = iterate(chunks);
  try {
    const head = await readHead(input);
    const all = withHead(head, input);
    const compression = detectArchiveCompression(head);
    switch (compression) {
      case "bzip2":
        await (await import("./inflate-bzip2.ts")).inflateBzip2(all, output);
        break;
      case "xz":
        await (await import("./inflate-xz.ts")).inflateXz(all, output);
        break;
      default:
        await inflateZlib(all, makeInflater(compression, output, { skipsChecksum }), {
          runsAhead: keepsChunks && compression === "gzip",
        });
    }
  } finally {
    await input.return();
  }
}

/** In pieces that are valid until the next one is asked for. */
export type ArchiveInput = AsyncGenerator<Uint8Array, void>;

async function* iterate(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): ArchiveInput {
  for await (const chunk of chunks) if (chunk.length > 0) yield chunk;
}

async function readHead(input: ArchiveInput): Promise<Uint8Array> {
  let head = Buffer.alloc(0);
  while (head.length < DETECT_SIZE) {
    const { done, value } = await input.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  return head;
}

async function* withHead(head: Uint8Array, rest: ArchiveInput): ArchiveInput {
  if (head.length > 0) yield head;
  yield* rest;
}

async function inflateZlib(
  chunks: ArchiveInput,
  inflater: Inflater,
  { runsAhead }: { readonly runsAhead: boolean },
): Promise<void> {
  let before: Promise<void> | undefined;
  try {
    for await (const chunk of chunks) {
      const taken = inflater.write(chunk);
      // Awaited one turn later.
      taken.catch(() => {});
      await (runsAhead ? before : taken);
      before = taken;
    }
    await before;
    await inflater.end();
  } finally {
    inflater.destroy();
  }
}
