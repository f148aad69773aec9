import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { Entry, RootfsPath } from "./entry.ts";
import { readRecord, readRecordPath, readRecordSize } from "./entry-record.ts";
import { FOOTER_SIZE, INDEX_FLAG, INDEX_MAGIC } from "./index-writer.ts";
import { comparePaths, isWithin, ROOT } from "./rootfs-path.ts";

const CACHED_BLOCKS = 16;

/** In bytes: buffers are multiples of it, so that one is large enough for nearly every block. */
const GRANULE = 1 << 10;

/** An index up to this size, in bytes, is read at once, and its file is closed: most RUNs and COPYs write a few entries. */
const WHOLE_BYTES = 16 << 10;

/** How many of these are remembered: 8 MiB at most. */
const REMEMBERED = 512;

interface Position {
  readonly block: number;
  readonly at: number;
}

/**
 * A layer's index (`index-writer.ts`), read with `pread`. Holds the table of blocks (8 bytes for 8 KiB of index) and a few
 * blocks, whatever the number of entries. Whoever makes one disposes it.
 */
export class IndexReader implements Disposable {
  readonly count: number;
  readonly hasImplicit: boolean;
  readonly hasForeignLinks: boolean;
  /** See `writeIndex`; in the order of the index. */
  readonly joints: readonly RootfsPath[];
  /** Undefined when the index is held whole. */
  #fd: number | undefined;
  #whole: Buffer | undefined;
  readonly #offsets: Float64Array;
  /** Of the records, when the index is held whole: that a path is not there is what is asked most. */
  #positions: ReadonlyMap<RootfsPath, number> | undefined;
  /** What trees of many layers ask each of them for. */
  #root: Entry | undefined;
  readonly #cache = new Map<number, Buffer>();

  /** @throws Error when the file is no index. */
  constructor(path: string) {
    this.#fd = openSync(path, "r");
    try {
      const { size } = fstatSync(this.#fd);
      if (size <= WHOLE_BYTES) {
        this.#whole = this.#read(0, size);
        this.#close();
      }
      const footer =
        size < FOOTER_SIZE ? Buffer.alloc(FOOTER_SIZE) : this.#read(size - FOOTER_SIZE, FOOTER_SIZE);
      if (footer.toString("latin1", 0, 8) !== INDEX_MAGIC) throw new Error(`"${path}" is no layer index`);
      const value = (position: number) => footer.readDoubleLE(8 + 8 * position);
      const [tableOffset, blocks, joints, flags] = [value(1), value(2), value(3), value(4)];
      this.count = value(0);
      this.hasImplicit = (flags & INDEX_FLAG.hasImplicit) !== 0;
      this.hasForeignLinks = (flags & INDEX_FLAG.hasForeignLinks) !== 0;
      const table = this.#read(tableOffset, blocks * 8);
      this.#offsets = new Float64Array(blocks + 1);
      for (let block = 0; block < blocks; block++) this.#offsets[block] = table.readDoubleLE(block * 8);
      this.#offsets[blocks] = tableOffset;
      const jointsOffset = tableOffset + blocks * 8;
      this.joints = readPaths(this.#read(jointsOffset, size - FOOTER_SIZE - jointsOffset), joints);
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  /** It holds no file: nobody need dispose it. */
  get isWhole(): boolean {
    return this.#whole !== undefined;
  }

  lookup(path: RootfsPath): Entry | undefined {
    if (path !== ROOT) return this.#find(path);
    this.#root ??= this.#find(ROOT);
    return this.#root;
  }

  #find(path: RootfsPath): Entry | undefined {
    if (this.#whole !== undefined) {
      this.#positions ??= this.#findPositions(this.#whole);
      const at = this.#positions.get(path);
      return at === undefined ? undefined : readRecord(this.#whole, at);
    }
    const { block, at } = this.#seek((candidate) => comparePaths(candidate, path) < 0);
    if (block >= this.#blockCount) return undefined;
    const bytes = this.#block(block);
    return readRecordPath(bytes, at) === path ? readRecord(bytes, at) : undefined;
  }

  /** The path and all below it, in order. */
  *scan(prefix: RootfsPath): Generator<Entry> {
    const first = this.#seek((candidate) => comparePaths(candidate, prefix) < 0);
    // A buffer of its own, used again and again: those of the cache change hands while the caller has its turn.
    let bytes: Buffer | undefined;
    let { at } = first;
    for (let { block } = first; block < this.#blockCount; block++) {
      bytes = this.#readBlock(block, bytes);
      for (; at < bytes.length; at += readRecordSize(bytes, at)) {
        if (prefix !== "" && !isWithin(readRecordPath(bytes, at), prefix)) return;
        yield readRecord(bytes, at);
      }
      at = 0;
    }
  }

  /** A directory's direct children, in order; their subtrees are skipped, not read. */
  *list(directory: RootfsPath): Generator<Entry> {
    let position = this.#seek((candidate) => comparePaths(candidate, directory) <= 0);
    while (position.block < this.#blockCount) {
      const bytes = this.#block(position.block);
      const path = readRecordPath(bytes, position.at);
      if (!isWithin(path, directory)) return;
      yield readRecord(bytes, position.at);
      position = this.#skipSubtree(position, path);
    }
  }

  [Symbol.dispose](): void {
    this.#cache.clear();
    this.#close();
  }

  #findPositions(bytes: Buffer): ReadonlyMap<RootfsPath, number> {
    const positions = new Map<RootfsPath, number>();
    const end = this.#offsets.at(-1)!;
    for (let at = 0; at < end; at += readRecordSize(bytes, at)) positions.set(readRecordPath(bytes, at), at);
    return positions;
  }

  #close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  get #blockCount(): number {
    return this.#offsets.length - 1;
  }

  #skipSubtree(from: Position, path: RootfsPath): Position {
    const bytes = this.#block(from.block);
    for (
      let at = from.at + readRecordSize(bytes, from.at);
      at < bytes.length;
      at += readRecordSize(bytes, at)
    ) {
      if (!isWithin(readRecordPath(bytes, at), path)) return { block: from.block, at };
    }
    return this.#seek(
      (candidate) => comparePaths(candidate, path) < 0 || isWithin(candidate, path),
      from.block,
    );
  }

  /** The first record for which the predicate, true for a leading part of the index, is false. */
  #seek(isBefore: (path: RootfsPath) => boolean, firstBlock = 0): Position {
    let low = firstBlock;
    let high = this.#blockCount;
    // Ends with `low`: the first block whose first record is not before.
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(readRecordPath(this.#block(middle), 0))) low = middle + 1;
      else high = middle;
    }
    if (low === firstBlock) return { block: low, at: 0 };
    const bytes = this.#block(low - 1);
    for (let at = 0; at < bytes.length; at += readRecordSize(bytes, at)) {
      if (!isBefore(readRecordPath(bytes, at))) return { block: low - 1, at };
    }
    return { block: low, at: 0 };
  }

  /** Valid until the next block is asked for: buffers are used again, for new ones would lie about until a collection. */
  #block(block: number): Buffer {
    const cached = this.#cache.get(block);
    if (cached !== undefined) return cached;
    let spare: Buffer | undefined;
    if (this.#cache.size >= CACHED_BLOCKS) {
      const oldest = this.#cache.keys().next().value!;
      spare = this.#cache.get(oldest);
      this.#cache.delete(oldest);
    }
    const bytes = this.#readBlock(block, spare);
    this.#cache.set(block, bytes);
    return bytes;
  }

  #readBlock(block: number, spare?: Buffer): Buffer {
    const offset = this.#offsets[block]!;
    return this.#read(offset, this.#offsets[block + 1]! - offset, spare);
  }

  /** Into the buffer of `spare`, where it is large enough. */
  #read(offset: number, size: number, spare?: Buffer): Buffer {
    if (this.#whole !== undefined) return this.#whole.subarray(offset, offset + size);
    const buffer =
      spare !== undefined && spare.buffer.byteLength >= size
        ? spare.buffer
        : new ArrayBuffer(Math.ceil(size / GRANULE) * GRANULE);
    const bytes = Buffer.from(buffer, 0, size);
    for (let fill = 0; fill < size; ) {
      const read = readSync(this.#fd!, bytes, fill, size - fill, offset + fill);
      if (read === 0) throw new Error("a layer index is cut off");
      fill += read;
    }
    return bytes;
  }
}

const remembered = new Map<string, IndexReader>();

/**
 * The index of a stored layer, for whoever disposes it: one that is read whole is remembered by this thread, for each RUN of a stage
 * looks into all that the one before looked into. A layer's files never change, and a path of the store never names another layer.
 */
export function openIndex(path: string): IndexReader {
  const known = remembered.get(path);
  if (known !== undefined) return known;
  const index = new IndexReader(path);
  if (index.isWhole) {
    if (remembered.size >= REMEMBERED) remembered.delete(remembered.keys().next().value!);
    remembered.set(path, index);
  }
  return index;
}

function readPaths(bytes: Buffer, count: number): RootfsPath[] {
  const paths: RootfsPath[] = [];
  for (let at = 0; paths.length < count; ) {
    const length = bytes.readUInt16LE(at);
    paths.push(bytes.toString("latin1", at + 2, at + 2 + length) as RootfsPath);
    at += 2 + length;
  }
  return paths;
}
