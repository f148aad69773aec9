/**
 * Small chunks as larger ones, in buffers of their own, which may change hands. A hand-over between threads waits for both to be
 * scheduled, which on a busy machine takes longer than the work on 64 KiB.
 */
export async function* joinChunks(
  chunks: AsyncIterable<Uint8Array>,
  sizeBytes: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let joined = Buffer.allocUnsafeSlow(sizeBytes);
  let filled = 0;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + sizeBytes - filled);
      joined.set(part, filled);
      at += part.length;
      filled += part.length;
      if (filled < sizeBytes) continue;
      yield joined;
      joined = Buffer.allocUnsafeSlow(sizeBytes);
      filled = 0;
    }
  }
  if (filled > 0) yield joined.subarray(0, filled);
}
