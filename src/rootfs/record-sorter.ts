import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { freeUsedUp, noteDroppedBytes } from "../threads/free-buffers.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import {
  compareRecordPaths,
  readRecord,
  readRecordPath,
  readRecordSize,
  recordSize,
  writeRecord,
} from "./entry-record.ts";
import { comparePaths } from "./rootfs-path.ts";

/** An entry and the place at which it was added, which breaks ties between equal paths. */
export interface Sequenced {
  readonly entry: Entry;
  readonly sequence: number;
}

/** In bytes: what is sorted in memory before it goes to disk as a run. */
const RUN_SIZE = 2 << 20;
const WRITE_SIZE = 64 << 10;
/** In bytes: what all runs together have in memory while they are merged, unless there are so many that each has the least. */
const MERGE_SIZE = 1 << 20;
const LEAST_READ_SIZE = 4 << 10;

/** What stands before a record, in memory as in a run: its sequence, an f64. */
const SEQUENCE_SIZE = 8;

/**
 * Sorts any number of entries by path, then by order of arrival, with bounded memory: sorted runs in a file, then a merge.
 * Stays in memory while all fits in one run. What waits are bytes, not objects: those would outlive the young generation,
 * and V8 lets tens of megabytes of them pile up before it looks. Buffers are freed at once for the same reason.
 * Whoever makes it disposes it, which removes the file.
 */
export class RecordSorter implements Disposable {
  readonly #path: string;
  readonly #runSize: number;
  /** Sequence and record, again and again, in order of arrival. */
  #buffer = Buffer.alloc(0);
  #fill = 0;
  #pendingCount = 0;
  #count = 0;
  /** Of the file of runs, once there is one. */
  #fd: number | undefined;
  /** Where each run ends in the file. */
  readonly #ends: number[] = [];
  #runs: Run[] = [];

  /** Runs go to the file `path`. */
  constructor(path: string, runSize = RUN_SIZE) {
    this.#path = path;
    this.#runSize = runSize;
  }

  get count(): number {
    return this.#count;
  }

  add(entry: Entry): void {
    const size = SEQUENCE_SIZE + recordSize(entry);
    if (this.#fill + size > this.#runSize && this.#fill > 0) this.#writeRun();
    if (this.#fill + size > this.#buffer.length) this.#grow(this.#fill + size);
    const at = this.#buffer.writeDoubleLE(this.#count++, this.#fill);
    this.#fill = writeRecord(entry, this.#buffer, at);
    this.#pendingCount++;
  }

  /** All entries in order. To be read once; nothing may be added after. */
  *sorted(): Generator<Sequenced> {
    if (this.#fd === undefined) {
      for (const at of this.#sortPending()) {
        yield {
          entry: readRecord(this.#buffer, at),
          sequence: this.#buffer.readDoubleLE(at - SEQUENCE_SIZE),
        };
      }
      return;
    }
    if (this.#fill > 0) this.#writeRun();
    this.#replaceBuffer(Buffer.alloc(0));
    const fd = this.#fd;
    const readSize = Math.max(LEAST_READ_SIZE, Math.floor(MERGE_SIZE / this.#ends.length));
    this.#runs = this.#ends.map(
      (end, run) => new Run(fd, { start: this.#ends[run - 1] ?? 0, end, readSize }),
    );
    yield* mergeRuns(this.#runs);
  }

  [Symbol.dispose](): void {
    for (const run of this.#runs) run.free();
    this.#runs = [];
    this.#replaceBuffer(Buffer.alloc(0));
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
    rmSync(this.#path, { force: true });
  }

  #grow(size: number): void {
    const grown = Buffer.alloc(Math.max(size, Math.min(this.#buffer.length * 2, this.#runSize), WRITE_SIZE));
    this.#buffer.copy(grown, 0, 0, this.#fill);
    this.#replaceBuffer(grown);
  }

  #replaceBuffer(buffer: Buffer<ArrayBuffer>): void {
    freeUsedUp(this.#buffer);
    this.#buffer = buffer;
  }

  /** Where the pending records begin, in order. */
  #sortPending(): Uint32Array {
    const starts = new Uint32Array(this.#pendingCount);
    for (let number = 0, at = SEQUENCE_SIZE; number < starts.length; number++) {
      starts[number] = at;
      at += readRecordSize(this.#buffer, at) + SEQUENCE_SIZE;
    }
    return starts.sort((a, b) => compareRecordPaths(this.#buffer, a, b) || a - b);
  }

  #writeRun(): void {
    this.#fd ??= openSync(this.#path, "wx+", 0o600);
    const fd = this.#fd;
    const out = Buffer.alloc(WRITE_SIZE);
    let fill = 0;
    for (const at of this.#sortPending()) {
      const bytes = this.#buffer.subarray(at - SEQUENCE_SIZE, at + readRecordSize(this.#buffer, at));
      if (fill + bytes.length > out.length) {
        writeAll(fd, out.subarray(0, fill));
        fill = 0;
      }
      if (bytes.length > out.length) writeAll(fd, bytes);
      else {
        bytes.copy(out, fill);
        fill += bytes.length;
      }
    }
    writeAll(fd, out.subarray(0, fill));
    freeUsedUp(out);
    noteDroppedBytes(this.#fill);
    this.#ends.push((this.#ends.at(-1) ?? 0) + this.#fill);
    this.#fill = 0;
    this.#pendingCount = 0;
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** Reads one run of the file from its start with `pread`. */
class Run {
  readonly #fd: number;
  readonly #readSize: number;
  readonly #end: number;
  #fileOffset: number;
  #buffer = Buffer.alloc(0);
  #bytes = 0;
  #at = 0;
  path = "" as RootfsPath;
  sequence = 0;

  constructor(
    fd: number,
    { start, end, readSize }: { readonly start: number; readonly end: number; readonly readSize: number },
  ) {
    this.#fd = fd;
    this.#fileOffset = start;
    this.#end = end;
    this.#readSize = readSize;
  }

  /** Goes to the next record; false at the end. */
  next(): boolean {
    if (this.#buffer.length === 0) this.#buffer = Buffer.alloc(this.#readSize);
    else this.#at += this.#size();
    if (!this.#ensure(SEQUENCE_SIZE + 4) || !this.#ensure(this.#size())) return false;
    this.sequence = this.#buffer.readDoubleLE(this.#at);
    this.path = readRecordPath(this.#buffer, this.#at + SEQUENCE_SIZE);
    return true;
  }

  entry(): Entry {
    return readRecord(this.#buffer, this.#at + SEQUENCE_SIZE);
  }

  free(): void {
    freeUsedUp(this.#buffer);
  }

  #size(): number {
    return SEQUENCE_SIZE + readRecordSize(this.#buffer, this.#at + SEQUENCE_SIZE);
  }

  #ensure(size: number): boolean {
    if (this.#at + size <= this.#bytes) return true;
    const rest = this.#buffer.subarray(this.#at, this.#bytes);
    const target = size > this.#buffer.length ? Buffer.alloc(size) : this.#buffer;
    rest.copy(target);
    this.#buffer = target;
    this.#bytes = rest.length;
    this.#at = 0;
    while (this.#bytes < size) {
      const wanted = Math.min(target.length - this.#bytes, this.#end - this.#fileOffset);
      const read = wanted === 0 ? 0 : readSync(this.#fd, target, this.#bytes, wanted, this.#fileOffset);
      if (read === 0) return false;
      this.#bytes += read;
      this.#fileOffset += read;
    }
    return true;
  }
}

/** A binary heap of runs, smallest next record first. */
function* mergeRuns(runs: readonly Run[]): Generator<Sequenced> {
  const heap = runs.filter((run) => run.next());
  const isBefore = (a: Run, b: Run) => (comparePaths(a.path, b.path) || a.sequence - b.sequence) < 0;
  const sink = (from: number) => {
    for (let at = from; ; ) {
      const left = 2 * at + 1;
      if (left >= heap.length) return;
      const right = left + 1;
      const child = right < heap.length && isBefore(heap[right]!, heap[left]!) ? right : left;
      if (!isBefore(heap[child]!, heap[at]!)) return;
      [heap[at], heap[child]] = [heap[child]!, heap[at]!];
      at = child;
    }
  };
  for (let at = heap.length >> 1; at >= 0; at--) sink(at);
  while (heap.length > 0) {
    const first = heap[0]!;
    yield { entry: first.entry(), sequence: first.sequence };
    if (!first.next()) {
      const last = heap.pop()!;
      if (heap.length === 0) return;
      heap[0] = last === first ? heap[0]! : last;
    }
    sink(0);
  }
}
