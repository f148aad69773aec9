import { closeSync, mkdirSync, openSync, readSync, rmSync, writevSync } from "node:fs";
import { join } from "node:path";
import type { LogChunk } from "./logs.ts";
import type { Store } from "./open-store.ts";

/*
 * What a step prints while it runs, for builds that wait for it and for `logs --follow`: a file in the temporary directory of the process
 * that runs it, and gone with it. Frames: kind (0: it ended well, 1: stdout, 2: stderr), length (32 bits, little endian), bytes.
 */

/** Of one log; what comes after is kept in the record only (its end). */
const MAX_BYTES = 32 << 20;
const HEADER_BYTES = 5;
const READ_BYTES = 64 << 10;
const KINDS = { ended: 0, stdout: 1, stderr: 2 } as const;

/** Where a log is: the process that runs the step, by its lease, and the key that it runs it for. */
export interface LiveLogPlace {
  readonly leaseId: string;
  readonly key: string;
}

/** Whoever runs a step writes its log, and disposes it. */
export interface LiveLog extends Disposable {
  add(stream: LogChunk["stream"], data: Uint8Array): void;
  /** The step has a result: nothing more comes. */
  end(): void;
}

/**
 * Its file is made for the first output. Where it cannot be written (the disk is full) it ends early, as it does when it is long: the step
 * goes on.
 */
export function openLiveLog(store: Store, key: string): LiveLog {
  const directory = join(store.temporaryDirectory, "logs");
  const path = join(directory, fileName(key));
  let file: number | undefined;
  let bytes = 0;
  let canWrite = true;
  const write = (kind: number, data: Uint8Array) => {
    if (!canWrite) return;
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt8(kind);
    header.writeUInt32LE(data.length, 1);
    try {
      if (file === undefined) {
        mkdirSync(directory, { recursive: true, mode: 0o700 });
        file = openSync(path, "w", 0o600);
      }
      // What comes after a part of a frame would be read as its end.
      canWrite = writevSync(file, [header, data]) === HEADER_BYTES + data.length;
    } catch {
      canWrite = false;
    }
  };
  return {
    add(stream, data) {
      if (bytes > MAX_BYTES) return;
      bytes += data.length;
      write(KINDS[stream], data);
      if (bytes > MAX_BYTES)
        write(KINDS.stdout, Buffer.from("\n[what comes now is not shown while it runs]\n"));
    },
    end() {
      if (file !== undefined) write(KINDS.ended, Buffer.alloc(0));
    },
    [Symbol.dispose]() {
      if (file === undefined) return;
      closeSync(file);
      // Whoever reads it has it open and reads on.
      rmSync(path, { force: true });
    },
  };
}

/** Reads a log while it grows, from its beginning. */
export interface LiveLogReader extends Disposable {
  /** What came since the last call. */
  read(): LogChunk[];
  /** The end was read: the step has a result. */
  hasEnded(): boolean;
}

/** Undefined while there is no such log: the step has not begun, or is done. */
export function openLiveLogReader(
  { root }: Store,
  { leaseId, key }: LiveLogPlace,
): LiveLogReader | undefined {
  let file: number;
  try {
    file = openSync(join(root, "tmp", leaseId, "logs", fileName(key)), "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  let position = 0;
  let isEnded = false;
  /** Undefined when a whole frame is not there yet. */
  const readFrame = (): { readonly kind: number; readonly data: Buffer } | undefined => {
    const header = Buffer.alloc(HEADER_BYTES);
    if (readSync(file, header, 0, HEADER_BYTES, position) < HEADER_BYTES) return undefined;
    const data = Buffer.alloc(header.readUInt32LE(1));
    for (let at = 0; at < data.length; ) {
      const count = readSync(
        file,
        data,
        at,
        Math.min(READ_BYTES, data.length - at),
        position + HEADER_BYTES + at,
      );
      if (count === 0) return undefined;
      at += count;
    }
    position += HEADER_BYTES + data.length;
    return { kind: header[0]!, data };
  };
  return {
    read() {
      const chunks: LogChunk[] = [];
      for (let frame = readFrame(); frame !== undefined; frame = readFrame()) {
        const { kind, data } = frame;
        if (kind === KINDS.ended) isEnded = true;
        else chunks.push({ stream: kind === KINDS.stdout ? "stdout" : "stderr", data });
      }
      return chunks;
    },
    hasEnded: () => isEnded,
    [Symbol.dispose]: () => closeSync(file),
  };
}

function fileName(key: string): string {
  return key.replace(/^sha256:/, "");
}
