import { type PaxRecords, parsePaxInteger, SPARSE_MAP, SPARSE_PREFIX } from "./pax-records.ts";
import { invalidTar, readNumber, tarPadding } from "./tar-header.ts";

/*
 * Sparse members (GNU tar's manual, "Storing Sparse Files"): the old GNU format keeps the map of a file's data in the header and
 * the blocks after it, pax formats 0.0 and 0.1 in records, pax format 1.0 as decimal lines in front of the data.
 */

/** A stretch of data; what lies between stretches are zeros. */
export interface SparseExtent {
  readonly offset: number;
  readonly size: number;
}

export interface SparseFile {
  /** Of the file with its holes, in bytes. */
  readonly size: number;
  /** Absent when the map stands in front of the data. */
  readonly extents?: readonly SparseExtent[];
}

const EXTENTS_AT = 386;
const EXTENT_SIZE = 24;
const ZEROS = Buffer.alloc(64 << 10);

/** The extents of an old GNU header (four, at 386), or of a block that continues it (21); and whether another block follows. */
export function readExtentBlock(block: Buffer, isHeader: boolean) {
  const [start, count] = isHeader ? [EXTENTS_AT, 4] : [0, 21];
  const extents: SparseExtent[] = [];
  for (let at = start; at < start + count * EXTENT_SIZE && block[at + 12] !== 0; at += EXTENT_SIZE)
    extents.push({ offset: readNumber(block, [at, 12]), size: readNumber(block, [at + 12, 12]) });
  const isContinued = block[start + count * EXTENT_SIZE] !== 0;
  return { extents, isContinued };
}

/** The size with its holes that an old GNU header says. */
export function readSparseSize(block: Buffer): number {
  return readNumber(block, [483, 12]);
}

/** What the records of pax formats 0.0, 0.1 and 1.0 say; undefined where there are none. @throws BuildError `image-invalid` */
export function readSparseRecords(pax: PaxRecords): SparseFile | undefined {
  if (![...pax.keys()].some((key) => key.startsWith(SPARSE_PREFIX))) return undefined;
  const get = (key: string) => pax.get(SPARSE_PREFIX + key);
  const size = get("realsize") ?? get("size");
  const map = pax.get(SPARSE_MAP);
  const isInFront = get("major") === "1" && get("minor") === "0";
  if (size === undefined || (!isInFront && map === undefined))
    throw invalidTar("the size or the map of a sparse file is missing");
  return { size: parsePaxInteger(size), ...(isInFront ? {} : { extents: parseExtents(map!) }) };
}

/** `offset,size,offset,size...` */
function parseExtents(text: string): SparseExtent[] {
  return pairUp(text === "" ? [] : text.split(",").map(parseDecimal));
}

function pairUp(numbers: readonly number[]): SparseExtent[] {
  if (numbers.length % 2 !== 0) throw invalid();
  return Array.from({ length: numbers.length / 2 }, (_, at) => ({
    offset: numbers[2 * at]!,
    size: numbers[2 * at + 1]!,
  }));
}

/** Takes a sparse member's stored bytes in pieces of any size and gives the file's. */
export class SparseContent {
  readonly #size: number;
  readonly #emit: (chunk: Uint8Array) => void;
  readonly #checkMap: (mapBytes: number) => void;
  #extents: readonly SparseExtent[] | undefined;
  readonly #numbers: number[] = [];
  #line = "";
  #mapBytes = 0;
  #skip = 0;
  #at = 0;
  #current = 0;

  /**
   * `emit`'s chunk is valid during the call. `checkMap` gets the size of a map in front of the data, as far as it was read.
   * @throws BuildError `image-invalid` when extents overlap or lie outside.
   */
  constructor(
    { size, extents }: SparseFile,
    handler: { readonly emit: (chunk: Uint8Array) => void; readonly checkMap: (mapBytes: number) => void },
  ) {
    if (size < 0) throw invalid();
    this.#size = size;
    this.#emit = handler.emit;
    this.#checkMap = handler.checkMap;
    this.#setExtents(extents);
  }

  write(chunk: Uint8Array): void {
    let rest = chunk;
    if (this.#extents === undefined) rest = this.#readMap(rest);
    const skipped = Math.min(this.#skip, rest.length);
    this.#skip -= skipped;
    rest = rest.subarray(skipped);
    while (rest.length > 0) {
      const extent = this.#extents?.[this.#current];
      if (extent === undefined) throw invalid();
      this.#fillTo(extent.offset);
      const taken = Math.min(extent.offset + extent.size - this.#at, rest.length);
      if (taken > 0) this.#emit(rest.subarray(0, taken));
      this.#at += taken;
      rest = rest.subarray(taken);
      if (this.#at === extent.offset + extent.size) this.#current++;
    }
  }

  /** @throws BuildError `image-invalid` when data is missing. */
  end(): void {
    if (this.#extents === undefined) throw invalid();
    if (this.#extents.slice(this.#current).some(({ size }) => size > 0)) throw invalid();
    this.#fillTo(this.#size);
  }

  #fillTo(offset: number): void {
    while (this.#at < offset) {
      const size = Math.min(ZEROS.length, offset - this.#at);
      this.#emit(ZEROS.subarray(0, size));
      this.#at += size;
    }
  }

  #setExtents(extents: readonly SparseExtent[] | undefined): void {
    let end = 0;
    for (const { offset, size } of extents ?? []) {
      if (offset < end || size < 0 || offset + size > this.#size) throw invalid();
      end = offset + size;
    }
    this.#extents = extents;
  }

  /** The number of extents, then offset and size of each, a line each; then up to a whole block. */
  #readMap(chunk: Uint8Array): Uint8Array {
    for (let at = 0; at < chunk.length; at++) {
      this.#checkMap(++this.#mapBytes);
      if (chunk[at] !== 0x0a) {
        this.#line += String.fromCharCode(chunk[at]!);
        continue;
      }
      this.#numbers.push(parseDecimal(this.#line));
      this.#line = "";
      if (this.#numbers.length < 1 + 2 * this.#numbers[0]!) continue;
      this.#setExtents(pairUp(this.#numbers.slice(1)));
      this.#skip = tarPadding(this.#mapBytes);
      return chunk.subarray(at + 1);
    }
    return new Uint8Array();
  }
}

function parseDecimal(text: string): number {
  const number = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(number)) throw invalid();
  return number;
}

function invalid() {
  return invalidTar("the map of a sparse file is wrong");
}
