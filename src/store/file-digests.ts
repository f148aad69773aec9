import type { BigIntStats } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { inTransaction, openCacheDatabase } from "./database.ts";
import type { Store } from "./open-store.ts";

/*
 * What files of contexts held when they were last read, so that a file that is as it was is not read again. A file is as it was when
 * device, inode, size, mtime and ctime (in nanoseconds) are: a program may set the mtime back, nobody the ctime.
 *
 * The clock that stamps files ticks every few milliseconds, so a file may change twice within one stamp. Hence a digest is kept only
 * when the file's stamps were older than a tick before anything was looked at (git calls the others racily clean).
 *
 * Files are kept by the bucket: files of one directory mostly have inodes beside each other, so one row answers for many.
 */

/** Longer than a tick of any kernel (CONFIG_HZ=100). */
const GRAIN_MS = 50;
/** Of file systems whose stamps have no fraction: FAT has two seconds. */
const COARSE_GRAIN_MS = 2_000;
const BUCKET_BITS = 6n;
/** For some two million files. */
const BUCKETS_MAX = 50_000;
/** Buckets that are looked into at a time: a walk asks for neighbours. */
const OPEN_MAX = 256;
/** Files that are kept in memory until they are written. */
const FRESH_MAX = 20_000;
/** A digest that is found is marked as used so often. */
const MARK_EVERY_MS = 24 * 3_600_000;

const TABLE = `
  CREATE TABLE IF NOT EXISTS buckets (
    device INTEGER NOT NULL, bucket INTEGER NOT NULL, files BLOB NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (device, bucket)
  ) STRICT, WITHOUT ROWID;
`;

/** What of a file's stats says that it is as it was. */
export type FileStamp = Pick<BigIntStats, "dev" | "ino" | "size" | "mtimeNs" | "ctimeNs">;

/** What is known of a file that is as it was. */
export interface KnownFile {
  readonly hash: Uint8Array;
  /** Has extended attributes that a layer carries: a change of theirs changes the ctime, so none need be asked for again. */
  readonly hasXattrs: boolean;
}

/** What files held, by their stats. Disposing it writes what was kept. */
export interface FileDigests extends Disposable {
  find(stamp: FileStamp): KnownFile | undefined;
  /** `stamp` is from before the file was read. */
  keep(stamp: FileStamp, file: KnownFile): void;
}

/** Beside the store's database, in a file of its own: worker threads write it, and nothing is lost with it. */
export function fileDigestsPath({ root }: Pick<Store, "root">): string {
  return join(root, "file-digests.sqlite");
}

/** Opens the digests before anything of the files is looked at. One that cannot be opened or written finds and keeps nothing. */
export function openFileDigests(path: string): FileDigests {
  const begun = Date.now();
  let database: DatabaseSync | undefined;
  let select: StatementSync | undefined;
  let isOpen = false;
  const open = new Map<string, Buffer>();
  const fresh = new Map<string, Bucket>();
  let freshCount = 0;
  /** When the first file is asked for: a COPY of layers asks for none. */
  const openDatabase = (): void => {
    if (isOpen) return;
    isOpen = true;
    // One that cannot be opened is as if it were empty.
    ifPossible(() => {
      database = openCacheDatabase(path, TABLE);
      select = database.prepare(SELECT);
    });
  };
  const freshBucket = (stamp: FileStamp): Bucket => {
    const name = nameBucket(stamp);
    let bucket = fresh.get(name);
    if (bucket === undefined) {
      bucket = { device: asSigned(stamp.dev), number: asSigned(stamp.ino >> BUCKET_BITS), files: [] };
      fresh.set(name, bucket);
    }
    return bucket;
  };
  let last: { readonly device: bigint; readonly number: bigint; readonly files: Buffer } | undefined;
  const read = (stamp: FileStamp): Buffer => {
    const number = stamp.ino >> BUCKET_BITS;
    if (last?.number !== number || last.device !== stamp.dev)
      last = { device: stamp.dev, number, files: readBucket(stamp) };
    return last.files;
  };
  const readBucket = (stamp: FileStamp): Buffer => {
    const name = nameBucket(stamp);
    let files = open.get(name);
    if (files !== undefined) return files;
    openDatabase();
    const row = ifPossible(() => select?.get(asSigned(stamp.dev), asSigned(stamp.ino >> BUCKET_BITS)));
    files = row === undefined ? Buffer.alloc(0) : asBuffer(row.files as Uint8Array);
    // Marks it as used, with nothing to add.
    if (row !== undefined && (row.used as number) < begun - MARK_EVERY_MS) freshBucket(stamp);
    if (open.size >= OPEN_MAX) open.clear();
    open.set(name, files);
    return files;
  };
  const writeFresh = (): void => {
    ifPossible(() => {
      if (database !== undefined && fresh.size > 0) write(database, [...fresh.values()], begun);
    });
    fresh.clear();
    freshCount = 0;
  };
  return {
    find(stamp) {
      const files = read(stamp);
      const at = findRecord(files, stamp);
      if (at === undefined || !isSame(files, at, stamp)) return undefined;
      return {
        hash: files.subarray(at + HASH_AT, at + RECORD_SIZE),
        hasXattrs: (files[at + INODE_AT]! & HAS_NO_XATTRS) === 0,
      };
    },
    keep(stamp, file) {
      if (!isSettled(stamp, begun)) return;
      freshBucket(stamp).files.push(makeRecord(stamp, file));
      if (++freshCount >= FRESH_MAX) writeFresh();
    },
    [Symbol.dispose]() {
      writeFresh();
      ifPossible(() => database?.close());
    },
  };
}

const SELECT = "SELECT files, used FROM buckets WHERE device = ? AND bucket = ?";

/** Files of one device whose inodes differ in the lowest bits only. */
interface Bucket {
  readonly device: bigint;
  readonly number: bigint;
  /** A record each. */
  readonly files: Buffer[];
}

function nameBucket({ dev, ino }: FileStamp): string {
  return `${dev} ${ino >> BUCKET_BITS}`;
}

/*
 * A record, little-endian: u64 size, i64 mtime, i64 ctime (nanoseconds), u8 the lowest bits of the inode and whether there are
 * extended attributes, the hash.
 */
const INODE_AT = 24;
const HAS_NO_XATTRS = 1 << Number(BUCKET_BITS);
const LOW_BITS = HAS_NO_XATTRS - 1;
const HASH_AT = 25;
const RECORD_SIZE = HASH_AT + 32;

function makeRecord(stamp: FileStamp, { hash, hasXattrs }: KnownFile): Buffer {
  const record = Buffer.allocUnsafe(RECORD_SIZE);
  record.writeBigUInt64LE(stamp.size, 0);
  record.writeBigInt64LE(stamp.mtimeNs, 8);
  record.writeBigInt64LE(stamp.ctimeNs, 16);
  record[INODE_AT] = lowBits(stamp) | (hasXattrs ? 0 : HAS_NO_XATTRS);
  record.set(hash, HASH_AT);
  return record;
}

function findRecord(files: Buffer, stamp: FileStamp): number | undefined {
  const low = lowBits(stamp);
  for (let at = 0; at < files.length; at += RECORD_SIZE) if (inodeBits(files, at) === low) return at;
  return undefined;
}

function isSame(files: Buffer, at: number, { size, mtimeNs, ctimeNs }: FileStamp): boolean {
  return (
    files.readBigInt64LE(at + 16) === ctimeNs &&
    files.readBigInt64LE(at + 8) === mtimeNs &&
    files.readBigUInt64LE(at) === size
  );
}

function lowBits({ ino }: FileStamp): number {
  return Number(BigInt.asUintN(Number(BUCKET_BITS), ino));
}

function inodeBits(files: Buffer, at = 0): number {
  return files[at + INODE_AT]! & LOW_BITS;
}

/** Whether a change since `begun` (in milliseconds since 1970) would have given the file other stamps. */
export function isSettled({ mtimeNs, ctimeNs }: FileStamp, begun: number): boolean {
  const isCoarse = mtimeNs % 1_000_000_000n === 0n && ctimeNs % 1_000_000_000n === 0n;
  const limit = BigInt(begun - (isCoarse ? COARSE_GRAIN_MS : GRAIN_MS)) * 1_000_000n;
  return ctimeNs < limit && mtimeNs < limit;
}

/** Another process may have written into the same buckets since they were read. */
function write(database: DatabaseSync, buckets: readonly Bucket[], now: number): void {
  inTransaction(database, () => {
    const select = database.prepare(SELECT);
    const insert = database.prepare("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?, ?)");
    for (const { device, number, files } of buckets) {
      const before = select.get(device, number)?.files as Uint8Array | undefined;
      const merged = mergeRecords(before === undefined ? [] : splitRecords(asBuffer(before)), files);
      insert.run(device, number, merged, now);
    }
    const count = database.prepare("SELECT count(*) AS count FROM buckets").get()!.count as number;
    if (count <= BUCKETS_MAX) return;
    database
      .prepare(
        "DELETE FROM buckets WHERE used <= (SELECT used FROM buckets ORDER BY used LIMIT 1 OFFSET ?) AND used < ?",
      )
      .run(count - BUCKETS_MAX, now);
  });
}

function splitRecords(files: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < files.length; at += RECORD_SIZE) records.push(files.subarray(at, at + RECORD_SIZE));
  return records;
}

/** One for each inode, the later one. */
function mergeRecords(before: readonly Buffer[], after: readonly Buffer[]): Buffer {
  const byInode = new Map([...before, ...after].map((record) => [inodeBits(record), record]));
  return Buffer.concat([...byInode.values()]);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** SQLite has signed integers only. */
function asSigned(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}

function ifPossible<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
