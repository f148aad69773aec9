import type { BigIntStats } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { inTransaction } from "./database.ts";
import type { Store } from "./open-store.ts";

/*
 * What files of contexts held when they were last read, so that a file that is as it was is not read again. A file is as it was when
 * device, inode, size, mtime and ctime (in nanoseconds) are: a program may set the mtime back, nobody the ctime.
 *
 * The clock that stamps files ticks every few milliseconds, so a file may change twice within one stamp. Hence a digest is kept only
 * when the file's stamps were older than a tick before anything was looked at (git calls the others racily clean).
 */

/** Longer than a tick of any kernel (CONFIG_HZ=100). */
const GRAIN_MS = 50;
/** Of file systems whose stamps have no fraction: FAT has two seconds. */
const COARSE_GRAIN_MS = 2_000;
const ROWS_MAX = 200_000;
/** A digest that is found is marked as used so often. */
const MARK_EVERY_MS = 24 * 3_600_000;
const BUSY_MS = 5_000;

const TABLE = `
  CREATE TABLE IF NOT EXISTS files (
    device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
    hash BLOB NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (device, inode)
  ) STRICT, WITHOUT ROWID;
`;

/** What of a file's stats says that it is as it was. */
export type FileStamp = Pick<BigIntStats, "dev" | "ino" | "size" | "mtimeNs" | "ctimeNs">;

/** Digests of files by their stats. Disposing it writes what was kept. */
export interface FileDigests extends Disposable {
  find(stamp: FileStamp): Uint8Array | undefined;
  /** `stamp` is from before the file was read. */
  keep(stamp: FileStamp, hash: Uint8Array): void;
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
  const fresh: { readonly stamp: FileStamp; readonly hash: Uint8Array }[] = [];
  try {
    database = new DatabaseSync(path, { timeout: BUSY_MS });
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; ${TABLE}`);
    select = database.prepare(
      "SELECT hash, used FROM files WHERE device = ? AND inode = ? AND size = ? AND mtime = ? AND ctime = ?",
    );
  } catch {
    // As if it were empty.
  }
  return {
    find(stamp) {
      const row = ifReadable(() =>
        select?.get(asSigned(stamp.dev), asSigned(stamp.ino), stamp.size, stamp.mtimeNs, stamp.ctimeNs),
      );
      if (row === undefined) return undefined;
      const hash = row.hash as Uint8Array;
      if ((row.used as number) < begun - MARK_EVERY_MS) fresh.push({ stamp, hash });
      return hash;
    },
    keep(stamp, hash) {
      if (isSettled(stamp, begun)) fresh.push({ stamp, hash });
    },
    [Symbol.dispose]() {
      ifReadable(() => {
        if (database !== undefined && fresh.length > 0) write(database, fresh, begun);
      });
      ifReadable(() => database?.close());
    },
  };
}

function isSettled({ mtimeNs, ctimeNs }: FileStamp, begun: number): boolean {
  const isCoarse = mtimeNs % 1_000_000_000n === 0n && ctimeNs % 1_000_000_000n === 0n;
  const limit = BigInt(begun - (isCoarse ? COARSE_GRAIN_MS : GRAIN_MS)) * 1_000_000n;
  return ctimeNs < limit && mtimeNs < limit;
}

function write(
  database: DatabaseSync,
  fresh: readonly { readonly stamp: FileStamp; readonly hash: Uint8Array }[],
  now: number,
): void {
  inTransaction(database, () => {
    const insert = database.prepare("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)");
    for (const { stamp, hash } of fresh) {
      const { dev, ino, size, mtimeNs, ctimeNs } = stamp;
      insert.run(asSigned(dev), asSigned(ino), size, mtimeNs, ctimeNs, hash, now);
    }
    const count = database.prepare("SELECT count(*) AS count FROM files").get()!.count as number;
    if (count <= ROWS_MAX) return;
    database
      .prepare(
        "DELETE FROM files WHERE used <= (SELECT used FROM files ORDER BY used LIMIT 1 OFFSET ?) AND used < ?",
      )
      .run(count - ROWS_MAX, now);
  });
}

/** SQLite has signed integers only. */
function asSigned(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}

function ifReadable<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
