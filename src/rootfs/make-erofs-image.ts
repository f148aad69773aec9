import type { Entry, EntryType } from "./entry.ts";
import { S_IFBLK, S_IFCHR, S_IFIFO } from "./libc.ts";
import { baseName, parentPath, ROOT } from "./rootfs-path.ts";

/*
 * The metadata of an EROFS file system (Linux, fs/erofs/erofs_fs.h) whose files lie in another file: a layer's uncompressed
 * tar, the only entry of its device table. Blocks have 512 bytes, as in a tar, so a file begins at a block; each file is one
 * chunk. Inodes are in the extended form, attributes inline; directories and symlinks have blocks after all inodes.
 */

export const EROFS_BLOCK = 512;

const BLOCK_BITS = 9;
const SUPER_OFFSET = 1024;
const MAGIC = 0xe0f5e1e2;
const FEATURE_CHUNKED_FILE = 0x4;
const FEATURE_DEVICE_TABLE = 0x8;
const DEVICE_SLOT_SIZE = 128;
/** Right after the superblock, which has 128 bytes too. */
const DEVICE_OFFSET = SUPER_OFFSET + 128;
const META_OFFSET = 1536;

const INODE_SIZE = 64;
const NID_UNIT = 32;
const LAYOUT_PLAIN = 0;
const LAYOUT_CHUNK = 4;
const EXTENDED = 1;
/** Chunk indexes of eight bytes, with a device; chunks of 2 ** 31 blocks. */
const CHUNK_FORMAT = 0x20 | 0x1f;

const DIRENT_SIZE = 12;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
const TYPES: Readonly<Record<EntryType, { readonly bits: number; readonly dirent: number }>> = {
  file: { bits: S_IFREG, dirent: 1 },
  directory: { bits: S_IFDIR, dirent: 2 },
  char: { bits: S_IFCHR, dirent: 3 },
  // To an overlay a device 0:0 is a whiteout.
  whiteout: { bits: S_IFCHR, dirent: 3 },
  block: { bits: S_IFBLK, dirent: 4 },
  fifo: { bits: S_IFIFO, dirent: 5 },
  symlink: { bits: S_IFLNK, dirent: 7 },
};

/** Names of extended attributes are stored without these; the longest that fits comes first. */
const XATTR_PREFIXES = [
  ["system.posix_acl_access", 2],
  ["system.posix_acl_default", 3],
  ["security.", 6],
  ["trusted.", 4],
  ["user.", 1],
] as const;

/** More of them would take too much memory at once. */
const ENTRIES_MAX = 300_000;

interface Inode {
  readonly entry: Entry;
  readonly xattrs: Buffer;
  readonly children: Child[];
  parent: Inode;
  linkCount: number;
  /** Byte offset in the image. */
  offset: number;
  /** Of a directory or symlink: its first block. */
  block: number;
  /** Of a directory or symlink, in bytes. */
  dataSize: number;
}

interface Child {
  readonly name: string;
  readonly inode: Inode;
}

/**
 * Makes the image of a tree: `entries` in the order of an index, the root first, none of them implicit or foreign.
 *
 * @returns undefined for what this form cannot hold: then the tree is unpacked.
 */
export function makeErofsImage(entries: Iterable<Entry>, dataSizeBytes: number): Buffer | undefined {
  const inodes = collectInodes(entries);
  if (inodes === undefined) return undefined;
  let end = META_OFFSET;
  for (const inode of inodes) {
    inode.offset = alignUp(end, NID_UNIT);
    end = inode.offset + INODE_SIZE + inode.xattrs.length;
    if (isChunked(inode)) end = alignUp(end, 8) + 8;
  }
  let block = Math.ceil(end / EROFS_BLOCK);
  for (const inode of inodes) {
    const { type, linkTarget } = inode.entry;
    if (type === "directory") inode.dataSize = cutDirectory(inode).length * EROFS_BLOCK;
    else if (type === "symlink") inode.dataSize = linkTarget!.length;
    else continue;
    inode.block = block;
    block += Math.ceil(inode.dataSize / EROFS_BLOCK);
  }
  const image = Buffer.alloc(block * EROFS_BLOCK);
  writeSuperblock(image, { inodeCount: inodes.length, root: inodes[0]!, dataSizeBytes });
  for (const [number, inode] of inodes.entries()) writeInode(image, inode, number + 1);
  return image;
}

function collectInodes(entries: Iterable<Entry>): Inode[] | undefined {
  const inodes: Inode[] = [];
  const directories = new Map<string, Inode>();
  const linked = new Map<string, Inode>();
  for (const entry of entries) {
    // Such a device would be taken for a whiteout.
    if (entry.type === "char" && !entry.deviceMajor && !entry.deviceMinor) continue;
    const known = entry.hardLinkOf === undefined ? undefined : linked.get(entry.hardLinkOf);
    const parent = directories.get(parentPath(entry.path));
    let inode = known;
    if (inode === undefined) {
      const xattrs = formatXattrs(entry);
      if (xattrs === undefined || !canHold(entry) || inodes.length >= ENTRIES_MAX) return undefined;
      inode = {
        entry,
        xattrs,
        children: [],
        parent: parent!,
        linkCount: 0,
        offset: 0,
        block: 0,
        dataSize: 0,
      };
      inodes.push(inode);
      if (entry.hardLinkOf !== undefined) linked.set(entry.hardLinkOf, inode);
    }
    inode.linkCount++;
    if (entry.type === "directory") {
      inode.linkCount++;
      directories.set(entry.path, inode);
    }
    if (entry.path === ROOT) inode.parent = inode;
    else {
      if (parent === undefined) throw new Error(`"${entry.path}" comes before its directory`);
      parent.children.push({ name: baseName(entry.path), inode });
      if (entry.type === "directory") parent.linkCount++;
    }
  }
  return inodes;
}

function canHold({ type, size, dataOffset, foreignLink, sparse }: Entry): boolean {
  if (foreignLink || sparse) return false;
  return type !== "file" || size === 0 || (dataOffset !== undefined && dataOffset % EROFS_BLOCK === 0);
}

function isChunked({ entry }: Inode): boolean {
  return entry.type === "file" && entry.size > 0;
}

/** Inline attributes: a header of 12 bytes, then each with its name and value, aligned to 4. */
function formatXattrs(entry: Entry): Buffer | undefined {
  const all = Object.entries(entry.xattrs ?? {});
  if (entry.opaque) all.push(["trusted.overlay.opaque", Buffer.from("y")]);
  if (all.length === 0) return Buffer.alloc(0);
  const parts = [Buffer.alloc(12)];
  for (const [name, value] of all) {
    const [prefix, index] = XATTR_PREFIXES.find(([start]) => name.startsWith(start)) ?? [];
    if (prefix === undefined || index === undefined) return undefined;
    const rest = Buffer.from(name.slice(prefix.length), "latin1");
    if (rest.length > 255 || value.length > 0xffff) return undefined;
    const part = Buffer.alloc(alignUp(4 + rest.length + value.length, 4));
    part.writeUInt8(rest.length, 0);
    part.writeUInt8(index, 1);
    part.writeUInt16LE(value.length, 2);
    rest.copy(part, 4);
    part.set(value, 4 + rest.length);
    parts.push(part);
  }
  const xattrs = Buffer.concat(parts);
  // The count of an inode's attributes is one of words, in 16 bits.
  return (xattrs.length - 12) / 4 + 1 > 0xffff ? undefined : xattrs;
}

function writeSuperblock(
  image: Buffer,
  {
    inodeCount,
    root,
    dataSizeBytes,
  }: { readonly inodeCount: number; readonly root: Inode; readonly dataSizeBytes: number },
): void {
  const at = SUPER_OFFSET;
  image.writeUInt32LE(MAGIC, at);
  image.writeUInt8(BLOCK_BITS, at + 12);
  image.writeUInt16LE(nidOf(root), at + 14);
  image.writeBigUInt64LE(BigInt(inodeCount), at + 16);
  image.writeUInt32LE(image.length / EROFS_BLOCK, at + 36);
  image.writeUInt32LE(META_OFFSET / EROFS_BLOCK, at + 40);
  image.writeUInt32LE(FEATURE_CHUNKED_FILE | FEATURE_DEVICE_TABLE, at + 80);
  image.writeUInt16LE(1, at + 86);
  image.writeUInt16LE(DEVICE_OFFSET / DEVICE_SLOT_SIZE, at + 88);
  image.writeUInt32LE(Math.ceil(dataSizeBytes / EROFS_BLOCK), DEVICE_OFFSET + 64);
}

function writeInode(image: Buffer, inode: Inode, number: number): void {
  const { entry, offset: at, xattrs } = inode;
  const isChunk = isChunked(inode);
  image.writeUInt16LE(EXTENDED | ((isChunk ? LAYOUT_CHUNK : LAYOUT_PLAIN) << 1), at);
  image.writeUInt16LE(xattrs.length === 0 ? 0 : (xattrs.length - 12) / 4 + 1, at + 2);
  image.writeUInt16LE(TYPES[entry.type].bits | (entry.type === "symlink" ? 0o777 : entry.mode), at + 4);
  image.writeBigUInt64LE(BigInt(isChunk ? entry.size : inode.dataSize), at + 8);
  image.writeUInt32LE(inodeUnion(inode, isChunk), at + 16);
  image.writeUInt32LE(number, at + 20);
  image.writeUInt32LE(entry.uid, at + 24);
  image.writeUInt32LE(entry.gid, at + 28);
  image.writeBigInt64LE(BigInt(entry.mtime), at + 32);
  image.writeUInt32LE(entry.mtimeNs, at + 40);
  image.writeUInt32LE(inode.linkCount, at + 44);
  xattrs.copy(image, at + INODE_SIZE);
  if (isChunk) {
    const index = alignUp(at + INODE_SIZE + xattrs.length, 8);
    image.writeUInt16LE(1, index + 2);
    image.writeUInt32LE(entry.dataOffset! / EROFS_BLOCK, index + 4);
  } else if (entry.type === "symlink") {
    image.write(entry.linkTarget!, inode.block * EROFS_BLOCK, "latin1");
  } else if (entry.type === "directory") {
    for (const [position, block] of cutDirectory(inode).entries())
      writeDirectoryBlock(image, block, (inode.block + position) * EROFS_BLOCK);
  }
}

/** The first block, the device's number or the form of chunks. */
function inodeUnion({ entry, block }: Inode, isChunk: boolean): number {
  if (isChunk) return CHUNK_FORMAT;
  if (entry.type !== "char" && entry.type !== "block") return block;
  const { deviceMajor: major = 0, deviceMinor: minor = 0 } = entry;
  // new_encode_dev() of linux/kdev_t.h.
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** A directory's names with `.` and `..`, in byte order, in as many blocks as they need. */
function cutDirectory(inode: Inode): Child[][] {
  const all = [{ name: ".", inode }, { name: "..", inode: inode.parent }, ...inode.children].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  const blocks: Child[][] = [];
  let fill = EROFS_BLOCK;
  for (const child of all) {
    const size = DIRENT_SIZE + child.name.length;
    if (fill + size > EROFS_BLOCK) {
      blocks.push([]);
      fill = 0;
    }
    blocks.at(-1)!.push(child);
    fill += size;
  }
  return blocks;
}

/** Entries of a fixed size first, then their names; the last name ends with the block or a NUL. */
function writeDirectoryBlock(image: Buffer, children: readonly Child[], at: number): void {
  let nameOffset = children.length * DIRENT_SIZE;
  for (const [position, { name, inode }] of children.entries()) {
    const entry = at + position * DIRENT_SIZE;
    image.writeBigUInt64LE(BigInt(nidOf(inode)), entry);
    image.writeUInt16LE(nameOffset, entry + 8);
    image.writeUInt8(TYPES[inode.entry.type].dirent, entry + 10);
    nameOffset += image.write(name, at + nameOffset, "latin1");
  }
}

function nidOf(inode: Inode): number {
  return (inode.offset - META_OFFSET) / NID_UNIT;
}

function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
