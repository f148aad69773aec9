import { setImmediate } from "node:timers/promises";
import { noteDroppedBytes } from "../threads/free-buffers.ts";

/** How long the main thread may go on without looking at signals and streams. */
const BREATH_MS = 15;

/** About what becomes garbage with each value: an entry, its names, a line. */
const VALUE_BYTES = 256;

/** Synchronous work, bit by bit: between the bits others have their turn, and Ctrl-C ends it. What is `undefined` is left out. */
export async function* takeBreaths<Value>(
  values: Iterable<Value | undefined>,
  signal: AbortSignal,
): AsyncGenerator<Value> {
  let last = performance.now();
  for (const value of values) {
    noteDroppedBytes(VALUE_BYTES);
    if (performance.now() - last > BREATH_MS) {
      await setImmediate();
      signal.throwIfAborted();
      last = performance.now();
    }
    if (value !== undefined) yield value;
  }
}
