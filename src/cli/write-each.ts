import { once } from "node:events";
import type { Writable } from "node:stream";

/** Waits while the reader is slower. */
async function writeTo(stream: Writable, text: string): Promise<void> {
  if (!stream.write(text)) await once(stream, "drain");
}

/** In characters: a write for each line would take longer than to make the line. */
const BLOCK_SIZE = 64 << 10;

/** Writes what `tell` says of values that come one by one, many at a time. */
export async function writeEach<Value>(
  stream: Writable,
  values: AsyncIterable<Value>,
  tell: (value: Value) => string,
): Promise<void> {
  let block = "";
  for await (const value of values) {
    block += tell(value);
    if (block.length < BLOCK_SIZE) continue;
    await writeTo(stream, block);
    block = "";
  }
  await writeTo(stream, block);
}
