import type { Store } from "./open-store.ts";

/** A part of what a RUN printed. */
export interface LogChunk {
  readonly stream: "stdout" | "stderr";
  readonly data: Uint8Array;
}

/** How much of the beginning and of the end of a log is kept, in bytes. */
const HEAD_BYTES = 256 << 10;
const TAIL_BYTES = 256 << 10;

/** Collects a log, whatever its length. */
export interface LogKeeper {
  add(stream: LogChunk["stream"], data: Uint8Array): void;
  chunks(): readonly LogChunk[];
}

export function makeLogKeeper(): LogKeeper {
  const head = makeChunkList();
  const tail = makeChunkList();
  let droppedBytes = 0;
  return {
    add(stream, data) {
      const headPart = data.subarray(0, HEAD_BYTES - head.bytes());
      head.add(stream, headPart);
      tail.add(stream, data.subarray(headPart.length));
      droppedBytes += tail.cutTo(TAIL_BYTES);
    },
    chunks() {
      if (droppedBytes === 0) return [...head.chunks(), ...tail.chunks()];
      const note = Buffer.from(`\n[${droppedBytes} bytes are not kept]\n`);
      return [...head.chunks(), { stream: "stdout", data: note }, ...tail.chunks()];
    },
  };
}

const BLOCK_BYTES = 16 << 10;
/** Streams may take turns at every byte. */
const FIRST_BYTES = 64;

interface Block {
  readonly stream: LogChunk["stream"];
  buffer: Buffer;
  start: number;
  end: number;
}

/** Chunks in blocks, for a log may come byte by byte. */
function makeChunkList() {
  const blocks: Block[] = [];
  let total = 0;
  return {
    bytes: () => total,
    add(stream: LogChunk["stream"], data: Uint8Array): void {
      for (let at = 0; at < data.length; ) {
        let last = blocks.at(-1);
        if (last === undefined || last.stream !== stream || last.end === BLOCK_BYTES) {
          last = { stream, buffer: Buffer.allocUnsafe(FIRST_BYTES), start: 0, end: 0 };
          blocks.push(last);
        }
        const wanted = Math.min(BLOCK_BYTES, last.end + data.length - at);
        if (wanted > last.buffer.length) last.buffer = grow(last.buffer, wanted);
        const part = data.subarray(at, at + BLOCK_BYTES - last.end);
        last.buffer.set(part, last.end);
        last.end += part.length;
        at += part.length;
      }
      total += data.length;
    },
    /** Drops what is too much at the beginning; returns how much that was. */
    cutTo(maxBytes: number): number {
      let dropped = 0;
      while (total > maxBytes) {
        const [first] = blocks;
        const part = Math.min(first!.end - first!.start, total - maxBytes);
        first!.start += part;
        if (first!.start === first!.end) blocks.shift();
        total -= part;
        dropped += part;
      }
      return dropped;
    },
    chunks: (): LogChunk[] =>
      blocks.map(({ stream, buffer, start, end }) => ({ stream, data: buffer.subarray(start, end) })),
  };
}

function grow(buffer: Buffer, wantedBytes: number): Buffer {
  const grown = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, Math.max(wantedBytes, 2 * buffer.length)));
  buffer.copy(grown);
  return grown;
}

/** A log as one value of the database. */
export function encodeLog(chunks: readonly LogChunk[]): Uint8Array {
  return Buffer.concat(
    chunks.flatMap(({ stream, data }) => {
      const header = Buffer.alloc(5);
      header.writeUInt8(stream === "stdout" ? 1 : 2);
      header.writeUInt32LE(data.length, 1);
      return [header, data];
    }),
  );
}

export function decodeLog(value: Uint8Array): LogChunk[] {
  const bytes = Buffer.from(value);
  const chunks: LogChunk[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32LE(at + 1);
    chunks.push({ stream: bytes[at] === 1 ? "stdout" : "stderr", data: bytes.subarray(at + 5, end) });
    at = end;
  }
  return chunks;
}

/** Keeps the log of a record that is in the store and has none; an empty one is none. */
export function writeLog(store: Store, recordId: string, chunks: readonly LogChunk[]): void {
  if (chunks.length === 0) return;
  store.database
    .prepare("INSERT OR REPLACE INTO logs SELECT id, ? FROM records WHERE id = ?")
    .run(encodeLog(chunks), recordId);
}

/** What the step of a record printed when it ran; empty when nothing was kept. */
export function readLog(store: Store, recordId: string): LogChunk[] {
  const row = store.database.prepare("SELECT chunks FROM logs WHERE record_id = ?").get(recordId);
  return row === undefined ? [] : decodeLog(row.chunks as Uint8Array);
}
