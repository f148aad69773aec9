import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** In bytes of dropped buffers: how often they are freed. */
const INTERVAL = 16 << 20;

let dropped = 0;
type Collect = (options: { readonly type: "minor" | "major" }) => void;

let collect: Collect | undefined;

/**
 * Tells that so many bytes of buffers were let go, or were filled from as many objects, one by one, some of which are old by then. V8 counts what its
 * own heap holds, so a thread that makes large buffers and few objects keeps hundreds of megabytes of them before it looks; this makes it look every
 * 16 MiB. It must be a full collection (a minor one leaves most of them), which takes a few milliseconds, for such a heap is nearly empty; in the main
 * thread ten, so only for passes over many entries there.
 */
export function noteDroppedBytes(sizeBytes: number): void {
  dropped += sizeBytes;
  if (dropped < INTERVAL) return;
  dropped = 0;
  collect ??= loadCollector();
  collect({ type: "major" });
}

/**
 * Frees the buffer of a piece that reaches to its end, at once and without a collection. For a producer that fills a buffer piece by piece and hands
 * the pieces out in order, as Node's decompressors do: the last one is then the last that anybody reads of it.
 */
export function freeUsedUp({ buffer, byteOffset, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteOffset + byteLength === buffer.byteLength) buffer.transfer(0);
}

/** The flag stays: it is the process's, and to take it back would take it from a thread that is about to use it. */
function loadCollector(): Collect {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}
