import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
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
const RUN_SIZE = 4 << 20;
const READ_SIZE = 64 << 10;

/** What stands before a record, in memory as in a run: its sequence, an f64. */
const SEQUENCE_SIZE = 8;

/**
 * Sorts any number of entries by path, then by order of arrival, with bounded memory: sorted runs on disk, then a merge.
 * Stays in memory while all fits in one run. What waits are bytes, not objects: those would outlive the young generation,
 * and V8 lets tens of megabytes of them pile up before it looks. Whoever makes it disposes it, which removes the runs.
 */
export class RecordSorter implements Disposable {
  readonly #runPath: (run: number) => string;
  readonly #runSize: number;
  /** Sequence and record, again and again, in order of arrival. */
  #buffer = Buffer.alloc(0);
  #fill = 0;
  #pendingCount = 0;
  #count = 0;
  #runs: Run[] = [];

  /** Runs are files whose names begin with `pathPrefix`. */
  constructor(pathPrefix: string, runSize = RUN_SIZE) {
    this.#runPath = (run) => `${pathPrefix}.run${run}`;
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
    if (this.#runs.length === 0) {
      for (const at of this.#sortPending()) {
        yield {
          entry: readRecord(this.#buffer, at),
          sequence: this.#buffer.readDoubleLE(at - SEQUENCE_SIZE),
        };
      }
      return;
    }
    if (this.#fill > 0) this.#writeRun();
    this.#buffer = Buffer.alloc(0);
    yield* mergeRuns(this.#runs);
  }

  [Symbol.dispose](): void {
    for (const run of this.#runs) run.close();
    for (const [number] of this.#runs.entries()) rmSync(this.#runPath(number), { force: true });
    this.#runs = [];
    this.#buffer = Buffer.alloc(0);
  }

  #grow(size: number): void {
    const grown = Buffer.alloc(Math.max(size, Math.min(this.#buffer.length * 2, this.#runSize), READ_SIZE));
    this.#buffer.copy(grown, 0, 0, this.#fill);
    this.#buffer = grown;
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
    const fd = openSync(this.#runPath(this.#runs.length), "wx+", 0o600);
    this.#runs.push(new Run(fd));
    const out = Buffer.alloc(READ_SIZE);
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
    this.#fill = 0;
    this.#pendingCount = 0;
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** Reads one run from its start with `pread`. */
class Run {
  readonly #fd: number;
  #buffer = Buffer.alloc(0);
  #bytes = 0;
  #at = 0;
  #fileOffset = 0;
  path = "" as RootfsPath;
  sequence = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Goes to the next record; false at the end. */
  next(): boolean {
    if (this.#buffer.length === 0) this.#buffer = Buffer.alloc(READ_SIZE);
    else this.#at += this.#size();
    if (!this.#ensure(SEQUENCE_SIZE + 4) || !this.#ensure(this.#size())) return false;
    this.sequence = this.#buffer.readDoubleLE(this.#at);
    this.path = readRecordPath(this.#buffer, this.#at + SEQUENCE_SIZE);
    return true;
  }

  entry(): Entry {
    return readRecord(this.#buffer, this.#at + SEQUENCE_SIZE);
  }

  close(): void {
    closeSync(this.#fd);
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
      const read = readSync(this.#fd, target, this.#bytes, target.length - this.#bytes, this.#fileOffset);
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
