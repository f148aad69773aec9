import { BuildError } from "../errors/build-error.ts";

/** POSIX.1-2001 ustar and pax, and GNU tar's extensions of them: one 512-byte block before each member. */
export const TAR_BLOCK = 512;

/** Offset and length of the fields of a ustar header. */
export const FIELD = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  typeflag: [156, 1],
  linkname: [157, 100],
  magic: [257, 8],
  devmajor: [329, 8],
  devminor: [337, 8],
  prefix: [345, 155],
} as const;

type Field = readonly [offset: number, length: number];

/** A header block as it stands, before pax records and long names are applied. Strings have one char a byte. */
export interface RawHeader {
  readonly typeflag: string;
  readonly name: string;
  readonly linkname: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly devmajor: number;
  readonly devminor: number;
}

/** @throws BuildError `image-invalid` when the checksum or a number is wrong. */
export function parseTarHeader(block: Buffer): RawHeader {
  if (!hasRightChecksum(block)) throw invalidTar("a header's checksum is wrong");
  const magic = readText(block, [257, 6]);
  // GNU's old format has atimes where ustar has the prefix.
  const isUstar = block.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isUstar ? readText(block, FIELD.prefix) : "";
  const name = readText(block, FIELD.name);
  const hasDevices = isUstar || magic.startsWith("ustar");
  const size = readNumber(block, FIELD.size);
  if (size < 0) throw invalidTar("a header has a size below zero");
  return {
    typeflag: String.fromCharCode(block[FIELD.typeflag[0]]!),
    name: prefix === "" ? name : `${prefix}/${name}`,
    linkname: readText(block, FIELD.linkname),
    mode: readNumber(block, FIELD.mode),
    uid: readNumber(block, FIELD.uid),
    gid: readNumber(block, FIELD.gid),
    size,
    mtime: readNumber(block, FIELD.mtime),
    devmajor: hasDevices ? readNumber(block, FIELD.devmajor) : 0,
    devminor: hasDevices ? readNumber(block, FIELD.devminor) : 0,
  };
}

export function isZeroBlock(block: Uint8Array): boolean {
  for (let at = 0; at < TAR_BLOCK; at++) if (block[at] !== 0) return false;
  return true;
}

/** The sum of the header's bytes with the checksum field taken as spaces. */
export function tarChecksum(block: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < 148; at++) sum += block[at]!;
  for (let at = 156; at < TAR_BLOCK; at++) sum += block[at]!;
  return sum;
}

/** Bytes that follow `size` bytes of content up to the next block. */
export function tarPadding(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;
}

export function invalidTar(what: string): BuildError {
  return new BuildError("image-invalid", `Cannot read the tar archive: ${what}`);
}

function hasRightChecksum(block: Buffer): boolean {
  const stored = readNumber(block, FIELD.checksum);
  const sum = tarChecksum(block);
  if (stored === sum) return true;
  // Some old programs summed signed chars.
  let signed = sum;
  for (let at = 0; at < TAR_BLOCK; at++) {
    if ((at < 148 || at >= 156) && block[at]! > 127) signed -= 256;
  }
  return stored === signed;
}

function readText(block: Buffer, [offset, length]: Field): string {
  const end = block.indexOf(0, offset);
  return block.toString("latin1", offset, end < 0 || end > offset + length ? offset + length : end);
}

/** Octal text, or GNU's big-endian base 256 when the first bit is set. */
export function readNumber(block: Buffer, [offset, length]: Field): number {
  const first = block[offset]!;
  if ((first & 0x80) !== 0) return readBase256(block, offset, length);
  let at = offset;
  const end = offset + length;
  while (at < end && (block[at] === 0x20 || block[at] === 0)) at++;
  let value = 0;
  for (; at < end && block[at] !== 0x20 && block[at] !== 0; at++) {
    const digit = block[at]! - 0x30;
    if (digit < 0 || digit > 7) throw invalidTar("a number in a header is not octal");
    value = value * 8 + digit;
  }
  return value;
}

function readBase256(block: Buffer, offset: number, length: number): number {
  const isNegative = (block[offset]! & 0x40) !== 0;
  let value = isNegative ? -1n : 0n;
  for (let at = 0; at < length; at++) {
    const byte = at === 0 ? block[offset]! & 0x7f : block[offset + at]!;
    const bits = at === 0 ? 7n : 8n;
    // The first byte's marker bit is no part of the number; a negative one is filled with ones.
    const part = at === 0 && isNegative ? BigInt(byte | 0x40) : BigInt(byte);
    value = (value << bits) | part;
  }
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw invalidTar("a number in a header is too large");
  return number;
}
