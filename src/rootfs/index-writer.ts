import { closeSync, openSync, writeSync } from "node:fs";
import { noteDroppedBytes } from "../threads/free-buffers.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { recordSize, writeRecord } from "./entry-record.ts";

/*
 * An index file: records (entry-record.ts) in the order of `comparePaths`, grouped in blocks of about 8 KiB; then a table
 * of the blocks' offsets (f64 each); then the joints (u16 + path each); then the footer. Every parent directory of a
 * record has a record itself, an `implicit` one where the layer does not list it; the first record is the root.
 */
export const INDEX_MAGIC = "slipidx1";
export const FOOTER_SIZE = 64;
const BLOCK_SIZE = 8 << 10;
const WRITE_SIZE = 256 << 10;

/** The footer: magic, then five f64 at 8, 16...: records, table offset, blocks, joints, flags. */
export const INDEX_FLAG = {
  /** A directory other than the root is implicit. */
  hasImplicit: 1,
  /** A hard link leads to a path that the layer does not have. */
  hasForeignLinks: 2,
} as const;

/**
 * Writes the entries, which come in the order of an index with every parent in front. Not atomic: the caller renames.
 * A *joint* is a path at which the layers below decide where what is under it goes: an implicit directory (it may be a
 * symlink below), or a symlink of the layer itself under which the layer has entries.
 */
export function writeIndex(path: string, entries: Iterable<Entry>): void {
  const fd = openSync(path, "wx", 0o644);
  try {
    writeTo(fd, entries);
  } finally {
    closeSync(fd);
  }
}

function writeTo(fd: number, entries: Iterable<Entry>): void {
  let buffer = Buffer.alloc(WRITE_SIZE);
  let fill = 0;
  let offset = 0;
  const flush = () => {
    for (let at = 0; at < fill; ) at += writeSync(fd, buffer, at, fill - at);
    offset += fill;
    fill = 0;
  };
  const reserve = (size: number) => {
    if (fill + size > buffer.length) {
      noteDroppedBytes(fill);
      flush();
    }
    if (size > buffer.length) buffer = Buffer.alloc(size);
  };

  const blocks: number[] = [];
  const joints: RootfsPath[] = [];
  let blockStart = -BLOCK_SIZE;
  let count = 0;
  let flags = 0;
  let last: Entry | undefined;
  for (const entry of entries) {
    reserve(recordSize(entry));
    if (offset + fill - blockStart >= BLOCK_SIZE) {
      blockStart = offset + fill;
      blocks.push(blockStart);
    }
    fill = writeRecord(entry, buffer, fill);
    count++;
    if (entry.implicit && entry.path !== "") {
      flags |= INDEX_FLAG.hasImplicit;
      joints.push(entry.path);
    }
    // A symlink's subtree follows it at once.
    if (last?.type === "symlink" && entry.path.startsWith(`${last.path}/`)) joints.push(last.path);
    if (entry.foreignLink) flags |= INDEX_FLAG.hasForeignLinks;
    last = entry;
  }
  const tableOffset = offset + fill;
  for (const block of blocks) {
    reserve(8);
    fill = buffer.writeDoubleLE(block, fill);
  }
  for (const joint of joints) {
    reserve(2 + joint.length);
    fill = buffer.writeUInt16LE(joint.length, fill);
    fill += buffer.write(joint, fill, "latin1");
  }
  reserve(FOOTER_SIZE);
  buffer.fill(0, fill, fill + FOOTER_SIZE);
  buffer.write(INDEX_MAGIC, fill, "latin1");
  for (const [position, value] of [count, tableOffset, blocks.length, joints.length, flags].entries()) {
    buffer.writeDoubleLE(value, fill + 8 + 8 * position);
  }
  fill += FOOTER_SIZE;
  flush();
}
