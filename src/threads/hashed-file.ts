import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import { Worker } from "node:worker_threads";
import {
  BEGIN,
  CONTENTS,
  END,
  ERRNO,
  FILE,
  FILLED,
  makeWriteRing,
  READY,
  SLOT_BYTES,
  SLOTS,
  WRITTEN,
} from "./write-ring.ts";

/** In bytes: only what is longer is worth a thread. */
const ALONE_BYTES = 16 << 20;

/**
 * Appends to an open file from synchronous code, and computes the SHA-256 of what it has. With `usesThread` what is long is written and hashed by a thread of
 * its own, while the caller gets the next bytes. The file was empty, is open for reading, too, and nobody else writes it; to be disposed before it is closed.
 * Without a file the bytes are only hashed.
 */
export class HashedFile implements Disposable {
  readonly #fd: number | undefined;
  readonly #usesThread: boolean;
  readonly #hash = createHash("sha256");
  #sizeBytes = 0;
  #starting: WritingThread | undefined;
  /** Has the file now. */
  #thread: WritingThread | undefined;

  constructor(fd: number | undefined, { usesThread = false }: { readonly usesThread?: boolean } = {}) {
    this.#fd = fd;
    this.#usesThread = usesThread;
  }

  /** The chunk may be used again afterwards. @throws the system's error, also that of an earlier chunk. */
  write(chunk: Uint8Array): void {
    this.#thread ??= this.#handOver();
    if (this.#thread !== undefined) {
      this.#thread.write(chunk);
      return;
    }
    if (this.#fd !== undefined) for (let at = 0; at < chunk.length; ) at += writeSync(this.#fd, chunk, at);
    this.#hash.update(chunk);
    this.#sizeBytes += chunk.length;
  }

  /** The digest of all, when the file has it. Called once. @throws the system's error. */
  finish(): Buffer {
    return this.#thread?.end() ?? this.#hash.digest();
  }

  [Symbol.dispose](): void {
    this.#thread?.settle();
    const thread = this.#thread ?? this.#starting;
    this.#thread = undefined;
    this.#starting = undefined;
    if (thread !== undefined) idle.push(thread);
  }

  /** To a thread that has started: what is written until then is written here. */
  #handOver(): WritingThread | undefined {
    if (this.#fd === undefined || !this.#usesThread || this.#sizeBytes < ALONE_BYTES) return undefined;
    this.#starting ??= idle.pop() ?? new WritingThread();
    if (!this.#starting.isReady) return undefined;
    this.#starting.begin(this.#fd);
    return this.#starting;
  }
}

/** Those of the calling thread that have no file. */
const idle: WritingThread[] = [];

class WritingThread {
  readonly #control: Int32Array;
  readonly #bytes: Uint8Array;
  /** In bytes: how much of the next slot is filled. */
  #fill = 0;

  constructor() {
    const ring = makeWriteRing();
    this.#control = ring.control;
    this.#bytes = ring.bytes;
    const worker = new Worker(writerEntry(), { workerData: ring });
    // It waits for work, for ever, and ends with the calling thread.
    worker.unref();
    // One that does not start is never ready.
    worker.on("error", () => {});
  }

  get isReady(): boolean {
    return Atomics.load(this.#control, READY) === 1;
  }

  begin(fd: number): void {
    this.#fill = 0;
    Atomics.store(this.#control, FILE, fd);
    this.#publish(BEGIN);
  }

  write(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const slot = this.#nextSlot();
      this.#throwError();
      const part = chunk.subarray(at, at + SLOT_BYTES - this.#fill);
      slot.set(part, this.#fill);
      this.#fill += part.length;
      at += part.length;
      if (this.#fill === SLOT_BYTES) this.#publish(this.#fill);
    }
  }

  /** The digest. */
  end(): Buffer {
    if (this.#fill > 0) this.#publish(this.#fill);
    const slot = this.#nextSlot();
    this.#publish(END);
    this.settle();
    this.#throwError();
    return Buffer.from(slot.slice(0, 32));
  }

  /** Waits until it does nothing, whether it could do what it was asked for or not. */
  settle(): void {
    this.#waitFor(Atomics.load(this.#control, FILLED));
  }

  /** Waits until one is free. */
  #nextSlot(): Uint8Array {
    const filled = Atomics.load(this.#control, FILLED);
    this.#waitFor(filled - SLOTS + 1);
    const start = (filled % SLOTS) * SLOT_BYTES;
    return this.#bytes.subarray(start, start + SLOT_BYTES);
  }

  #publish(content: number): void {
    const filled = Atomics.load(this.#control, FILLED);
    Atomics.store(this.#control, CONTENTS + (filled % SLOTS), content);
    this.#fill = 0;
    Atomics.store(this.#control, FILLED, filled + 1);
    Atomics.notify(this.#control, FILLED);
  }

  /** Until so many slots were written. */
  #waitFor(count: number): void {
    for (;;) {
      const written = Atomics.load(this.#control, WRITTEN);
      if (written >= count) return;
      Atomics.wait(this.#control, WRITTEN, written);
    }
  }

  #throwError(): void {
    const errno = Atomics.load(this.#control, ERRNO);
    if (errno === 0) return;
    const code = getSystemErrorName(errno);
    throw Object.assign(new Error(`${code}, write`), { code, errno, syscall: "write" });
  }
}

/** `src/writer.ts` in a checkout, `dist/writer.js` beside the bundles. */
function writerEntry(): URL {
  return import.meta.url.endsWith(".ts")
    ? new URL("../writer.ts", import.meta.url)
    : new URL("./writer.js", import.meta.url);
}
