import { closeSync, openSync, readSync, statSync } from "node:fs";
import { BuildError } from "../errors/build-error.ts";
import { detectArchiveCompression, inflateArchive } from "../rootfs/inflate-archive.ts";

const CHUNK_SIZE = 256 << 10;
/** Deflate cannot do better (RFC 1951: 258 bytes for two bits, and a bit). */
const DEFLATE_RATIO_MAX = 1032;

/**
 * Refuses an archive that is larger than the limit once it is inflated, before a byte of it is kept.
 *
 * @throws BuildError `input-limit`; `copy-failed` when it is broken.
 */
export async function checkArchiveSize(
  { filePath, maxBytes }: { readonly filePath: string; readonly maxBytes: number },
  chunks: () => Iterable<Uint8Array>,
): Promise<void> {
  const { size } = statSync(filePath);
  const refuseAbove = (bytes: number) => {
    if (bytes <= maxBytes) return;
    throw new BuildError(
      "input-limit",
      `Cannot read the archive: unpacked it is larger than the limit of ${maxBytes} bytes for a build context`,
      { hint: "If you trust it, raise the limit with --max-context-size" },
    );
  };
  refuseAbove(size);
  const [head = new Uint8Array()] = chunks();
  const compression = detectArchiveCompression(head);
  if (compression === "uncompressed") return;
  if (compression === "gzip" && size * DEFLATE_RATIO_MAX <= maxBytes) return;
  let bytes = 0;
  await inflateArchive(chunks(), compression, (chunk) => {
    bytes += chunk.length;
    refuseAbove(bytes);
  });
}

/** A file in pieces; each is valid until the next one is asked for. */
export function* readChunks(path: string, throwIfAborted: () => void): Generator<Uint8Array> {
  const fd = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(CHUNK_SIZE);
    for (;;) {
      throwIfAborted();
      const read = readSync(fd, buffer, 0, buffer.length, null);
      if (read === 0) return;
      // Streams hold on to what they are given, so each piece has its own bytes.
      yield Buffer.from(buffer.subarray(0, read));
    }
  } finally {
    closeSync(fd);
  }
}
