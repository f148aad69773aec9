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
  const head: LogChunk[] = [];
  const tail: LogChunk[] = [];
  let headBytes = 0;
  let tailBytes = 0;
  let droppedBytes = 0;
  const addTail = (chunk: LogChunk): void => {
    tail.push(chunk);
    tailBytes += chunk.data.length;
    while (tailBytes > TAIL_BYTES) {
      const [first] = tail;
      const dropped = Math.min(first!.data.length, tailBytes - TAIL_BYTES);
      if (dropped === first!.data.length) tail.shift();
      else tail[0] = { stream: first!.stream, data: first!.data.subarray(dropped) };
      tailBytes -= dropped;
      droppedBytes += dropped;
    }
  };
  return {
    add(stream, data) {
      const headPart = data.subarray(0, HEAD_BYTES - headBytes);
      if (headPart.length > 0) head.push({ stream, data: Buffer.from(headPart) });
      headBytes += headPart.length;
      const rest = data.subarray(headPart.length);
      if (rest.length > 0) addTail({ stream, data: Buffer.from(rest) });
    },
    chunks() {
      if (droppedBytes === 0) return [...head, ...tail];
      const note = Buffer.from(`\n[${droppedBytes} bytes are not kept]\n`);
      return [...head, { stream: "stdout", data: note }, ...tail];
    },
  };
}

/** Keeps the log of a record that is in the store. */
export function writeLog(store: Store, recordId: string, chunks: readonly LogChunk[]): void {
  const bytes = Buffer.concat(
    chunks.flatMap(({ stream, data }) => {
      const header = Buffer.alloc(5);
      header.writeUInt8(stream === "stdout" ? 1 : 2);
      header.writeUInt32LE(data.length, 1);
      return [header, data];
    }),
  );
  store.database
    .prepare("INSERT OR REPLACE INTO logs SELECT id, ? FROM records WHERE id = ?")
    .run(bytes, recordId);
}

/** What the step of a record printed when it ran; empty when nothing was kept. */
export function readLog(store: Store, recordId: string): LogChunk[] {
  const row = store.database.prepare("SELECT chunks FROM logs WHERE record_id = ?").get(recordId);
  if (row === undefined) return [];
  const bytes = Buffer.from(row.chunks as Uint8Array);
  const chunks: LogChunk[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32LE(at + 1);
    chunks.push({ stream: bytes[at] === 1 ? "stdout" : "stderr", data: bytes.subarray(at + 5, end) });
    at = end;
  }
  return chunks;
}
