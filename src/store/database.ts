import { DatabaseSync, type StatementSync } from "node:sqlite";
import { BuildError } from "../errors/build-error.ts";
import { blameMachine } from "../errors/explain-system-error.ts";
import { syncPath } from "./sync-path.ts";

const TABLES = `
  -- Who uses the store now: rows of dead owners are removed, and their temporary files with them.
  CREATE TABLE leases (
    id TEXT PRIMARY KEY, boot_id TEXT NOT NULL, pid_namespace TEXT NOT NULL, pid INTEGER NOT NULL,
    start_time TEXT NOT NULL, heartbeat INTEGER NOT NULL
  ) STRICT;
  -- What one process at a time may use, by name, while its lease lives.
  CREATE TABLE locks (
    name TEXT PRIMARY KEY, lease_id TEXT NOT NULL REFERENCES leases (id) ON DELETE CASCADE
  ) STRICT;
  -- A change to a file system, in layers/ID/; kind says in which form it was born.
  CREATE TABLE layers (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('tar', 'directory')),
    diff_id TEXT, size_bytes INTEGER, created INTEGER NOT NULL, used INTEGER NOT NULL, durable INTEGER NOT NULL, boot_id TEXT NOT NULL
  ) STRICT;
  CREATE INDEX layers_by_diff_id ON layers (diff_id);
  -- The compressed forms of a layer's tar, in blobs/sha256/. A row may outlive its blob and the blob its layer.
  CREATE TABLE layer_blobs (
    digest TEXT PRIMARY KEY, diff_id TEXT NOT NULL, size INTEGER NOT NULL, compression TEXT NOT NULL, encoder TEXT NOT NULL
  ) STRICT;
  CREATE INDEX layer_blobs_by_diff_id ON layer_blobs (diff_id);
  -- A layer as a directory that can be an overlay's lower: m/NAME. key says which layer, at which place of which chain.
  CREATE TABLE materialised (
    name INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, layer_id TEXT NOT NULL, used INTEGER NOT NULL,
    durable INTEGER NOT NULL, boot_id TEXT NOT NULL
  ) STRICT;
  -- Results of steps, and the keys that lead to them. layer_id is empty when the layer was removed. parts is the JSON of what went into the key.
  CREATE TABLE records (
    id TEXT PRIMARY KEY, layer_id TEXT NOT NULL, created INTEGER NOT NULL, used INTEGER NOT NULL,
    durable INTEGER NOT NULL, boot_id TEXT NOT NULL
  ) STRICT;
  CREATE TABLE keys (
    key TEXT PRIMARY KEY, record_id TEXT NOT NULL REFERENCES records (id) ON DELETE CASCADE, parts TEXT NOT NULL
  ) STRICT;
  CREATE INDEX keys_by_record ON keys (record_id);
  -- Images by id (the config's digest). manifest is the one it was pulled with or last exported with.
  CREATE TABLE images (
    config_digest TEXT PRIMARY KEY, manifest_digest TEXT, platform TEXT NOT NULL, size_bytes INTEGER NOT NULL, created INTEGER NOT NULL
  ) STRICT;
  -- Tags live only here: name is the full reference, docker.io/library/alpine:latest, or one with a digest.
  CREATE TABLE tags (
    name TEXT NOT NULL, platform TEXT NOT NULL, config_digest TEXT NOT NULL REFERENCES images (config_digest), target_digest TEXT,
    updated INTEGER NOT NULL, PRIMARY KEY (name, platform)
  ) STRICT;
  CREATE TABLE containers (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, config_digest TEXT NOT NULL, created INTEGER NOT NULL
  ) STRICT;
`;

const REMOTE_TABLES = `
  -- What a URL had when it was last asked: key is the URL's digest (a URL may hold a secret), digest a blob that may be gone.
  CREATE TABLE downloads (
    key TEXT PRIMARY KEY, etag TEXT, last_modified TEXT, digest TEXT NOT NULL, size INTEGER NOT NULL, used INTEGER NOT NULL
  ) STRICT;
  -- Bare repositories in git/NAME: what was fetched of a git remote so far.
  CREATE TABLE git_repositories (
    name TEXT PRIMARY KEY, remote TEXT NOT NULL, used INTEGER NOT NULL
  ) STRICT;
`;

const ORIGIN_TABLES = `
  -- Repositories that have a blob, as their manifests say; diff_id is what a config claims, verified when the blob is fetched.
  CREATE TABLE blob_origins (
    digest TEXT NOT NULL, registry TEXT NOT NULL, repository TEXT NOT NULL, diff_id TEXT, media_type TEXT NOT NULL,
    size INTEGER NOT NULL, PRIMARY KEY (digest, registry, repository)
  ) STRICT;
  CREATE INDEX blob_origins_by_diff_id ON blob_origins (diff_id);
`;

const CACHE_TABLES = `
  -- What was used since the oldest living lease began is never reclaimed. 0: an older slipway's lease, which keeps everything.
  ALTER TABLE leases ADD COLUMN started INTEGER NOT NULL DEFAULT 0;
  -- When a blob was last asked for; one without a row was last used when its file was made.
  CREATE TABLE blob_uses (digest TEXT PRIMARY KEY, used INTEGER NOT NULL) STRICT;
  -- What a directory of the store takes on disk: measured once, for it never changes. path is relative to the store.
  CREATE TABLE sizes (path TEXT PRIMARY KEY, bytes INTEGER NOT NULL) STRICT;
  -- What the RUN of a record printed, the middle cut out where it was long.
  CREATE TABLE logs (
    record_id TEXT PRIMARY KEY REFERENCES records (id) ON DELETE CASCADE, chunks BLOB NOT NULL
  ) STRICT;
  -- The last builds and their steps, for explain. project says what is the same build again; parts is the JSON of what went into
  -- the step's key, changes the JSON of what changed against an earlier build, for a miss.
  CREATE TABLE builds (
    id TEXT PRIMARY KEY, created INTEGER NOT NULL, project TEXT NOT NULL, outcome TEXT NOT NULL
  ) STRICT;
  CREATE TABLE build_steps (
    build_id TEXT NOT NULL REFERENCES builds (id) ON DELETE CASCADE, number INTEGER NOT NULL, stage TEXT NOT NULL,
    name TEXT NOT NULL, outcome TEXT NOT NULL, key TEXT NOT NULL, record_id TEXT, content TEXT, parts TEXT NOT NULL,
    changes TEXT NOT NULL, PRIMARY KEY (build_id, number)
  ) STRICT;
  CREATE INDEX build_steps_by_name ON build_steps (name);
  CREATE INDEX build_steps_by_content ON build_steps (content);
  -- By the content digest of a COPY: its files, compressed.
  CREATE TABLE file_lists (digest TEXT PRIMARY KEY, files BLOB NOT NULL) STRICT;
`;

const USE_TABLES = `
  -- When something that has no row of its own was last asked for: a blob by its digest, else by its path in the store.
  ALTER TABLE blob_uses RENAME TO uses;
  ALTER TABLE uses RENAME COLUMN digest TO name;
`;

const HISTORY_TABLES = `
  -- A build has a row from its first missing step on; ended is null while it goes on, or for ever when it was killed.
  ALTER TABLE builds ADD COLUMN lease_id TEXT NOT NULL DEFAULT '';
  ALTER TABLE builds ADD COLUMN ended INTEGER;
  ALTER TABLE build_steps ADD COLUMN started INTEGER;
  ALTER TABLE build_steps ADD COLUMN ended INTEGER;
  -- What a step printed that has no record to keep it with: it failed.
  CREATE TABLE failed_logs (
    build_id TEXT NOT NULL REFERENCES builds (id) ON DELETE CASCADE, number INTEGER NOT NULL, chunks BLOB NOT NULL,
    PRIMARY KEY (build_id, number)
  ) STRICT;
`;

const BUILT_IMAGE_TABLES = `
  -- The images that a build came to, by id.
  CREATE TABLE built_images (
    build_id TEXT NOT NULL REFERENCES builds (id) ON DELETE CASCADE, config_digest TEXT NOT NULL, PRIMARY KEY (build_id, config_digest)
  ) STRICT;
  CREATE INDEX built_images_by_digest ON built_images (config_digest);
`;

const TAR_SIZE_TABLES = `
  -- Of the tar that the blob unpacks to, where it is known: the layer need not be here.
  ALTER TABLE layer_blobs ADD COLUMN tar_bytes INTEGER;
`;

/** What makes each version of the tables from the one before: only ever appended to. A store of a newer version is refused. */
const VERSIONS: readonly string[] = [
  TABLES,
  REMOTE_TABLES,
  ORIGIN_TABLES,
  CACHE_TABLES,
  USE_TABLES,
  HISTORY_TABLES,
  BUILT_IMAGE_TABLES,
  TAR_SIZE_TABLES,
];

/**
 * Opens the metadata database, makes its tables in a new one. Every process on the machine may have it open at once.
 *
 * @throws BuildError `store` when it is damaged, not writable or of a newer slipway.
 */
export function openDatabase(path: string): DatabaseSync {
  return explainOpening(path, () => {
    const database = new StoreDatabase(path, { timeout: 30_000, enableForeignKeyConstraints: true });
    try {
      // NORMAL: a power loss may take the last commits, never the order of them; `durable` says what a sync has covered.
      enableWal(database);
      database.exec("PRAGMA synchronous = NORMAL");
      const version = readVersion(database);
      if (version > VERSIONS.length) {
        throw new BuildError(
          "store",
          `Cannot open the store "${path}": a newer slipway made it (format ${version})`,
          {
            hint: "Use that slipway, or another directory with --root DIR",
          },
        );
      }
      if (version < VERSIONS.length) makeTables(database);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

/** Compiles each statement once: that takes four times as long as to run it. Each is run to its end before anything else. */
class StoreDatabase extends DatabaseSync {
  readonly #statements = new Map<string, StatementSync>();

  override prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = super.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** How long a thread waits for another one's writing. */
const CACHE_BUSY_MS = 5_000;

/** Opens a database whose loss costs nothing but time, beside the store's own: worker threads write it, and nothing in it waits for the disk. */
export function openCacheDatabase(path: string, tables: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: CACHE_BUSY_MS });
  // In this order: the change to WAL would wait for the disk, too.
  database.exec(`PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL; ${tables}`);
  return database;
}

/** Says what a failure of SQLite means for whoever wants the store; a read-only one fails at the first write. */
export function explainOpening<T>(path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const blamed = blameMachine(error);
    if (blamed instanceof BuildError) throw blamed;
    const { message, errcode = 0 } = error as Error & { readonly errcode?: number };
    const isClosed = [SQLITE_READONLY, SQLITE_CANTOPEN].includes(errcode % 256);
    throw new BuildError("store", `Cannot open the store "${path}": ${message}`, {
      hint: isClosed
        ? "Its directory must be writable, also for reading; choose another one with --root DIR"
        : undefined,
      cause: error,
    });
  }
}

/** Those with news that shall be on the disk when they are closed. */
const withNews = new WeakSet<DatabaseSync>();

/**
 * Runs `write` in one transaction that waits for other writers first; nothing asynchronous may happen in it. What is written so is on the
 * disk once the database is closed, unless it is no news; single statements (leases, marks of use) are none.
 */
export function inTransaction<T>(
  database: DatabaseSync,
  write: () => T,
  { isNews = true }: { readonly isNews?: boolean } = {},
): T {
  database.prepare("BEGIN IMMEDIATE").run();
  try {
    const result = write();
    database.prepare("COMMIT").run();
    if (isNews) withNews.add(database);
    return result;
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

/**
 * Closes it, with news on the disk. The last connection that closes would move SQLite's log into the database, which waits for the disk several times, as the
 * next one does that begins a log: so the last to close is one that may only read, and leaves the log as it is. SQLite moves it when it has grown.
 */
export async function closeDatabase(database: DatabaseSync): Promise<void> {
  const path = database.location()!;
  if (withNews.has(database)) await syncPath(`${path}-wal`);
  const reader = new DatabaseSync(path, { readOnly: true });
  // What has read holds the lock that closing wants.
  reader.prepare("SELECT count(*) FROM sqlite_schema").get();
  database.close();
  reader.close();
}

/** SQLite result code; its extended forms have it in the low byte. */
const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;
const SQLITE_CANTOPEN = 14;
const WAL_ATTEMPTS = 500;
const WAL_PAUSE_MS = 20;

/** The change to WAL does not wait for its lock as other statements do, and all first users of a new store want it at once. */
function enableWal(database: DatabaseSync): void {
  for (let attempt = 1; ; attempt++) {
    try {
      database.exec("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      const isLocked = ((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY;
      if (!isLocked || attempt === WAL_ATTEMPTS) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAL_PAUSE_MS);
    }
  }
}

function readVersion(database: DatabaseSync): number {
  return (database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
}

function makeTables(database: DatabaseSync): void {
  inTransaction(database, () => {
    // Another process may have made them while this one waited.
    for (const statements of VERSIONS.slice(readVersion(database))) database.exec(statements);
    database.exec(`PRAGMA user_version = ${VERSIONS.length}`);
  });
}
