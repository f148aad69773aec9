import { inTransaction, openCacheDatabase } from "./database.ts";

/*
 * What COPYs of many files came to, with all that they looked at on the disk: where that is as it was, so is what they copy, and nothing
 * else of it need be done again. In the database of `file-digests.ts`, whose loss costs nothing but time.
 */

const TABLE = `
  CREATE TABLE IF NOT EXISTS selections (
    key BLOB NOT NULL, number INTEGER NOT NULL, content TEXT NOT NULL, looks BLOB NOT NULL, used INTEGER NOT NULL, UNIQUE (key, number)
  ) STRICT;
`;
/** Of `looks`; some 100 MB. */
const PIECES_MAX = 800;
/** One that is found is marked as used so often. */
const MARK_EVERY_MS = 24 * 3_600_000;

export interface KnownSelection {
  /** Its content digest. */
  readonly content: string;
  /** What was looked at, in pieces, as they were given to `keepSelection`. */
  readonly looks: Iterable<Uint8Array>;
}

/** One that was kept. */
export interface FoundSelection extends KnownSelection {
  readonly pieceCount: number;
}

/** Calls `use` with what is known by a key, and the database open for it; undefined where nothing is, or it cannot be read. */
export async function useSelection<Result>(
  path: string,
  key: Uint8Array,
  use: (known: FoundSelection) => Promise<Result>,
): Promise<Result | undefined> {
  let database: ReturnType<typeof openCacheDatabase> | undefined;
  try {
    database = openCacheDatabase(path, TABLE);
    const first = database
      .prepare(
        "SELECT content, used, (SELECT max(number) FROM selections WHERE key = ?1) AS last FROM selections WHERE key = ?1 AND number = 0",
      )
      .get(key);
    if (first === undefined) return undefined;
    const now = Date.now();
    if ((first.used as number) < now - MARK_EVERY_MS)
      database.prepare("UPDATE selections SET used = ? WHERE key = ?").run(now, key);
    const rows = database.prepare("SELECT looks FROM selections WHERE key = ? ORDER BY number").iterate(key);
    const looks = rows.map((row) => row.looks as Uint8Array);
    return await use({ content: first.content as string, looks, pieceCount: (first.last as number) + 1 });
  } catch (error) {
    if (!isDatabaseError(error)) throw error;
    return undefined;
  } finally {
    database?.close();
  }
}

/** In place of what was known by the key; nothing is where it cannot be written. */
export function keepSelection(path: string, key: Uint8Array, { content, looks }: KnownSelection): void {
  try {
    const database = openCacheDatabase(path, TABLE);
    try {
      const used = Date.now();
      inTransaction(database, () => {
        database.prepare("DELETE FROM selections WHERE key = ?").run(key);
        const insert = database.prepare("INSERT INTO selections VALUES (?, ?, ?, ?, ?)");
        let number = 0;
        for (const piece of looks) insert.run(key, number++, content, piece, used);
        dropOldest(database, key);
      });
    } finally {
      database.close();
    }
  } catch (error) {
    // Else it is as if nothing were known.
    if (!isDatabaseError(error)) throw error;
  }
}

/** Whole ones; the newest, too, where it is too large by itself. */
function dropOldest(database: ReturnType<typeof openCacheDatabase>, newest: Uint8Array): void {
  const count = database.prepare("SELECT count(*) AS count FROM selections");
  const drop = database.prepare("DELETE FROM selections WHERE key = ?");
  const oldest = database.prepare("SELECT key FROM selections WHERE key != ? ORDER BY used LIMIT 1");
  while ((count.get()!.count as number) > PIECES_MAX)
    drop.run((oldest.get(newest)?.key as Uint8Array) ?? newest);
}

function isDatabaseError(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ERR_SQLITE_ERROR";
}
