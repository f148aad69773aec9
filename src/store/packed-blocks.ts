import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { type Digest, digestHex } from "../oci/digest.ts";
import { inTransaction, openCacheDatabase } from "./database.ts";
import type { Store } from "./open-store.ts";

/*
 * Where, in which blob of the store, a compressed block of a layer is, by what it was compressed from. Compressing the same again
 * gives the same bytes, so they can be read instead. Nothing here is believed: a blob may be gone or damaged since, and then there
 * is no block.
 */

/** Of some 128 KiB of a tar each. */
const ROWS_MAX = 400_000;

const TABLE = `
  CREATE TABLE IF NOT EXISTS blocks (
    key BLOB PRIMARY KEY, blob TEXT NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL, used INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

export interface PackedBlock {
  /** A digest of all that its bytes depend on. */
  readonly key: Uint8Array;
  /** In bytes, from the beginning of its blob. */
  readonly start: number;
  readonly size: number;
  /** CRC-32 of the compressed bytes. */
  readonly crc: number;
}

/** Compressed blocks by what they were made from. One that cannot be opened or written finds and keeps nothing. */
export interface PackedBlocks extends Disposable {
  /** The compressed bytes, in a buffer of their own. */
  find(key: Uint8Array): Buffer | undefined;
  /** Remembers blocks of a blob that is about to be in the store. */
  keep(blob: Digest, blocks: readonly PackedBlock[]): void;
}

/** What names them and the blobs that they are in; it can be sent to another thread. */
export interface PackedBlocksPlace {
  readonly databasePath: string;
  /** Of blobs, by the hex digits of their digests. */
  readonly blobsDirectory: string;
}

/** Beside the store's database, in a file of its own: worker threads write it, and nothing is lost with it. */
export function packedBlocksPlace({ root }: Pick<Store, "root">): PackedBlocksPlace {
  return {
    databasePath: join(root, "packed-blocks.sqlite"),
    blobsDirectory: join(root, "blobs/sha256"),
  };
}

export function openPackedBlocks({ databasePath, blobsDirectory }: PackedBlocksPlace): PackedBlocks {
  let database: DatabaseSync | undefined;
  let select: StatementSync | undefined;
  const files = new Map<string, number | undefined>();
  try {
    database = openCacheDatabase(databasePath, TABLE);
    select = database.prepare("SELECT blob, start, size, crc FROM blocks WHERE key = ?");
  } catch {
    // As if it were empty.
  }
  const openBlob = (name: string): number | undefined => {
    if (!files.has(name)) {
      files.set(
        name,
        ifPossible(() => openSync(join(blobsDirectory, name), "r")),
      );
    }
    return files.get(name);
  };
  return {
    find(key) {
      const row = ifPossible(() => select?.get(key));
      if (row === undefined) return undefined;
      const fd = openBlob(row.blob as string);
      if (fd === undefined) return undefined;
      const bytes = Buffer.allocUnsafeSlow(row.size as number);
      const isWhole =
        ifPossible(() => readSync(fd, bytes, 0, bytes.length, row.start as number)) === bytes.length;
      return isWhole && crc32(bytes) === row.crc ? bytes : undefined;
    },
    keep(blob, blocks) {
      if (database !== undefined) ifPossible(() => write(database, digestHex(blob), blocks));
    },
    [Symbol.dispose]() {
      for (const fd of files.values()) if (fd !== undefined) closeSync(fd);
      ifPossible(() => database?.close());
    },
  };
}

/** Blocks that were there become those of the newer blob, which will be there longer. */
function write(database: DatabaseSync, blob: string, blocks: readonly PackedBlock[]): void {
  const now = Date.now();
  inTransaction(database, () => {
    const insert = database.prepare("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?)");
    for (const { key, start, size, crc } of blocks) insert.run(key, blob, start, size, crc, now);
    const count = database.prepare("SELECT count(*) AS count FROM blocks").get()!.count as number;
    if (count <= ROWS_MAX) return;
    database
      .prepare(
        "DELETE FROM blocks WHERE used <= (SELECT used FROM blocks ORDER BY used LIMIT 1 OFFSET ?) AND used < ?",
      )
      .run(count - ROWS_MAX, now);
  });
}

function ifPossible<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
