import type { Entry, EntryType, RootfsPath } from "./entry.ts";

/*
 * An entry as bytes, little-endian:
 *   u32 length of the whole, u8 type, u8 flags, u16 mode, u32 uid, u32 gid, f64 size, f64 mtime, u32 mtimeNs,
 *   u16 + path, then as the flags say: u16 + link target, u16 + hard link's path, u16 count of xattrs each
 *   (u16 + name, u32 + value), u32 + u32 device, f64 data offset, 32 bytes content hash.
 */

const TYPES: readonly EntryType[] = ["file", "directory", "symlink", "fifo", "char", "block", "whiteout"];
const TYPE_NUMBER = new Map(TYPES.map((type, number) => [type, number]));

const HAS_LINK = 1;
const HAS_HARD_LINK = 2;
const HAS_XATTRS = 4;
const HAS_DEVICE = 8;
const HAS_DATA = 16;
const HAS_HASH = 32;
const IS_OPAQUE = 64;
const IS_IMPLICIT = 128;

/** In the type byte: the flags are full. */
const IS_FOREIGN = 128;
const IS_SPARSE = 64;
const TYPE_MASK = 63;

const PATH_AT = 36;
const HASH_SIZE = 32;

/** In bytes: what a record may hold of a path or link, far above PATH_MAX. */
export const PATH_LIMIT = 32_767;

export function recordSize(entry: Entry): number {
  let size = PATH_AT + 2 + entry.path.length;
  if (entry.linkTarget !== undefined) size += 2 + entry.linkTarget.length;
  if (entry.hardLinkOf !== undefined) size += 2 + entry.hardLinkOf.length;
  if (entry.xattrs !== undefined) {
    size += 2;
    for (const name in entry.xattrs) size += 6 + name.length + entry.xattrs[name]!.length;
  }
  if (entry.deviceMajor !== undefined) size += 8;
  if (entry.dataOffset !== undefined) size += 8;
  if (entry.contentHash !== undefined) size += HASH_SIZE;
  return size;
}

/** Writes the record at `at`, where `recordSize` bytes are free; returns where it ends. */
export function writeRecord(entry: Entry, buffer: Buffer, at: number): number {
  const start = at;
  let flags = 0;
  if (entry.opaque) flags |= IS_OPAQUE;
  if (entry.implicit) flags |= IS_IMPLICIT;
  const marks = (entry.foreignLink ? IS_FOREIGN : 0) | (entry.sparse ? IS_SPARSE : 0);
  buffer[at + 4] = TYPE_NUMBER.get(entry.type)! | marks;
  buffer.writeUInt16LE(entry.mode, at + 6);
  buffer.writeUInt32LE(entry.uid, at + 8);
  buffer.writeUInt32LE(entry.gid, at + 12);
  buffer.writeDoubleLE(entry.size, at + 16);
  buffer.writeDoubleLE(entry.mtime, at + 24);
  buffer.writeUInt32LE(entry.mtimeNs, at + 32);
  at = writeText(buffer, start + PATH_AT, entry.path);
  if (entry.linkTarget !== undefined) {
    flags |= HAS_LINK;
    at = writeText(buffer, at, entry.linkTarget);
  }
  if (entry.hardLinkOf !== undefined) {
    flags |= HAS_HARD_LINK;
    at = writeText(buffer, at, entry.hardLinkOf);
  }
  if (entry.xattrs !== undefined) {
    flags |= HAS_XATTRS;
    at = writeXattrs(buffer, at, entry.xattrs);
  }
  if (entry.deviceMajor !== undefined) {
    flags |= HAS_DEVICE;
    at = buffer.writeUInt32LE(entry.deviceMajor, at);
    at = buffer.writeUInt32LE(entry.deviceMinor ?? 0, at);
  }
  if (entry.dataOffset !== undefined) {
    flags |= HAS_DATA;
    at = buffer.writeDoubleLE(entry.dataOffset, at);
  }
  if (entry.contentHash !== undefined) {
    flags |= HAS_HASH;
    buffer.set(entry.contentHash, at);
    at += HASH_SIZE;
  }
  buffer[start + 5] = flags;
  buffer.writeUInt32LE(at - start, start);
  return at;
}

/** The record's length in bytes. */
export function readRecordSize(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at);
}

export function readRecordPath(buffer: Buffer, at: number): RootfsPath {
  const length = buffer.readUInt16LE(at + PATH_AT);
  return buffer.toString("latin1", at + PATH_AT + 2, at + PATH_AT + 2 + length) as RootfsPath;
}

/** As `comparePaths` does, for the records at `a` and `b` of one buffer: no string is made. */
export function compareRecordPaths(buffer: Buffer, a: number, b: number): number {
  const lengthA = buffer.readUInt16LE(a + PATH_AT);
  const lengthB = buffer.readUInt16LE(b + PATH_AT);
  const length = Math.min(lengthA, lengthB);
  const pathA = a + PATH_AT + 2;
  const pathB = b + PATH_AT + 2;
  for (let at = 0; at < length; at++) {
    const left = buffer[pathA + at]!;
    const right = buffer[pathB + at]!;
    if (left !== right) return (left === 0x2f ? -1 : left) - (right === 0x2f ? -1 : right);
  }
  return lengthA - lengthB;
}

/** Copies what it keeps: the buffer may be used again. */
export function readRecord(buffer: Buffer, at: number): Entry {
  const flags = buffer[at + 5]!;
  let position = at + PATH_AT;
  const readText = (): string => {
    const end = position + 2 + buffer.readUInt16LE(position);
    const text = buffer.toString("latin1", position + 2, end);
    position = end;
    return text;
  };
  const entry: { -readonly [Key in keyof Entry]: Entry[Key] } = {
    path: readText() as RootfsPath,
    type: TYPES[buffer[at + 4]! & TYPE_MASK]!,
    mode: buffer.readUInt16LE(at + 6),
    uid: buffer.readUInt32LE(at + 8),
    gid: buffer.readUInt32LE(at + 12),
    size: buffer.readDoubleLE(at + 16),
    mtime: buffer.readDoubleLE(at + 24),
    mtimeNs: buffer.readUInt32LE(at + 32),
  };
  if (flags & HAS_LINK) entry.linkTarget = readText();
  if (flags & HAS_HARD_LINK) entry.hardLinkOf = readText() as RootfsPath;
  if (flags & HAS_XATTRS) {
    const xattrs: Record<string, Uint8Array> = Object.create(null);
    let count = buffer.readUInt16LE(position);
    position += 2;
    for (; count > 0; count--) {
      const name = readText();
      const end = position + 4 + buffer.readUInt32LE(position);
      xattrs[name] = Buffer.from(buffer.subarray(position + 4, end));
      position = end;
    }
    entry.xattrs = xattrs;
  }
  if (flags & HAS_DEVICE) {
    entry.deviceMajor = buffer.readUInt32LE(position);
    entry.deviceMinor = buffer.readUInt32LE(position + 4);
    position += 8;
  }
  if (flags & HAS_DATA) {
    entry.dataOffset = buffer.readDoubleLE(position);
    position += 8;
  }
  if (flags & HAS_HASH) entry.contentHash = Buffer.from(buffer.subarray(position, position + HASH_SIZE));
  if (buffer[at + 4]! & IS_FOREIGN) entry.foreignLink = true;
  if (buffer[at + 4]! & IS_SPARSE) entry.sparse = true;
  if (flags & IS_OPAQUE) entry.opaque = true;
  if (flags & IS_IMPLICIT) entry.implicit = true;
  return entry;
}

function writeText(buffer: Buffer, at: number, text: string): number {
  buffer.writeUInt16LE(text.length, at);
  buffer.write(text, at + 2, "latin1");
  return at + 2 + text.length;
}

/** Sorted by name, so that equal entries are equal bytes. */
function writeXattrs(buffer: Buffer, at: number, xattrs: Readonly<Record<string, Uint8Array>>): number {
  const names = Object.keys(xattrs).sort();
  let position = buffer.writeUInt16LE(names.length, at);
  for (const name of names) {
    const value = xattrs[name]!;
    position = writeText(buffer, position, name);
    position = buffer.writeUInt32LE(value.length, position);
    buffer.set(value, position);
    position += value.length;
  }
  return position;
}
