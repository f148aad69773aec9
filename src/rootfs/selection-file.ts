import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { noteDroppedBytes } from "../threads/free-buffers.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { readRecord, recordSize, writeRecord } from "./entry-record.ts";

/*
 * What a COPY selected, in the order in which it was found: u32 length of the whole, u8 role, u32 layer + 1 (0 for none),
 * u16 + path of the bytes in their tree, u16 + inode, then the entry (entry-record.ts). The entry's path is relative to
 * its item; the mode is the one that will be written, and so is the owner where there is no `--chown`.
 */

export interface SelectedEntry {
  readonly entry: Entry;
  readonly role: EntryRole;
  readonly layer?: number;
  readonly dataPath: RootfsPath;
  readonly inode?: string;
}

/**
 * How an entry meets what is at its path already. `copied`: a directory takes the place of a directory only, anything else
 * of anything else. `parent`: a directory that is there only because something below it was asked for (`--parents`).
 * `unpacked`: a member of an archive, which takes the place of whatever is there. `implied`: a directory that an archive
 * does not list, which leaves one that is there as it is.
 */
export type EntryRole = "copied" | "parent" | "unpacked" | "implied";

const ROLES: readonly EntryRole[] = ["copied", "parent", "unpacked", "implied"];
const FIXED_SIZE = 13;
const BUFFER_SIZE = 256 << 10;

export class SelectionWriter implements Disposable {
  readonly #path: string;
  readonly #fd: number;
  #buffer = Buffer.alloc(BUFFER_SIZE);
  #fill = 0;
  #written = 0;
  #isKept = false;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, "wx", 0o600);
  }

  /** Where the next record will begin. */
  get offset(): number {
    return this.#written + this.#fill;
  }

  add({ entry, role, layer, dataPath, inode = "" }: SelectedEntry): void {
    const size = FIXED_SIZE + dataPath.length + inode.length + recordSize(entry);
    if (this.#fill + size > this.#buffer.length) {
      noteDroppedBytes(this.#fill);
      this.#flush();
    }
    if (size > this.#buffer.length) this.#buffer = Buffer.alloc(size);
    const buffer = this.#buffer;
    let at = buffer.writeUInt32LE(size, this.#fill);
    at = buffer.writeUInt8(ROLES.indexOf(role), at);
    at = buffer.writeUInt32LE(layer === undefined ? 0 : layer + 1, at);
    at = writeText(buffer, dataPath, at);
    at = writeText(buffer, inode, at);
    this.#fill = writeRecord(entry, buffer, at);
  }

  /** Writes the rest; the file stays after this. */
  finish(): void {
    this.#flush();
    this.#isKept = true;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    if (!this.#isKept) rmSync(this.#path, { force: true });
  }

  #flush(): void {
    for (let at = 0; at < this.#fill; ) at += writeSync(this.#fd, this.#buffer, at, this.#fill - at);
    this.#written += this.#fill;
    this.#fill = 0;
  }
}

/** Reads records at the offsets at which they were written, best in order. */
export class SelectionReader implements Disposable {
  readonly #fd: number;
  #buffer = Buffer.alloc(BUFFER_SIZE);
  #start = 0;
  #end = 0;

  constructor(path: string) {
    this.#fd = openSync(path, "r");
  }

  /** The record and where the next one begins. */
  read(offset: number): { readonly selected: SelectedEntry; readonly next: number } {
    this.#load(offset, 4);
    const size = this.#buffer.readUInt32LE(offset - this.#start);
    this.#load(offset, size);
    const buffer = this.#buffer;
    let at = offset - this.#start + 4;
    const role = ROLES[buffer[at++]!]!;
    const layer = buffer.readUInt32LE(at);
    const dataPath = readText(buffer, at + 4);
    const inode = readText(buffer, dataPath.end);
    at = inode.end;
    const selected: SelectedEntry = {
      entry: readRecord(buffer, at),
      role,
      dataPath: dataPath.text as RootfsPath,
      ...(layer === 0 ? {} : { layer: layer - 1 }),
      ...(inode.text === "" ? {} : { inode: inode.text }),
    };
    return { selected, next: offset + size };
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #load(offset: number, size: number): void {
    if (offset >= this.#start && offset + size <= this.#end) return;
    if (size > this.#buffer.length) this.#buffer = Buffer.alloc(size);
    this.#start = offset;
    this.#end = offset;
    while (this.#end - offset < size) {
      const fill = this.#end - offset;
      const read = readSync(this.#fd, this.#buffer, fill, this.#buffer.length - fill, this.#end);
      if (read === 0) throw new Error("a selection file is cut off");
      this.#end += read;
    }
  }
}

function writeText(buffer: Buffer, text: string, at: number): number {
  const start = buffer.writeUInt16LE(text.length, at);
  return start + buffer.write(text, start, "latin1");
}

function readText(buffer: Buffer, at: number): { readonly text: string; readonly end: number } {
  const end = at + 2 + buffer.readUInt16LE(at);
  return { text: buffer.toString("latin1", at + 2, end), end };
}
