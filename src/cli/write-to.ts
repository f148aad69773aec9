import { once } from "node:events";
import type { Writable } from "node:stream";

/** Writes, and waits while the reader is slower. */
export async function writeTo(stream: Writable, chunk: string | Uint8Array): Promise<void> {
  if (!stream.write(chunk)) await once(stream, "drain");
}
