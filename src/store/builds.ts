import type { Digest } from "../oci/digest.ts";
import { inTransaction } from "./database.ts";
import { findLayer, type StoredLayer } from "./layers.ts";
import { dropDeadLeases } from "./lease.ts";
import { decodeLog, encodeLog, type LogChunk, readLog } from "./logs.ts";
import type { Store } from "./open-store.ts";

/** A build that the store remembers. */
export interface StoredBuild {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** The same for builds of one context and Dockerfile. */
  readonly project: string;
  /** `killed`: its process is gone, and it had not ended. */
  readonly outcome: "running" | "done" | "failed" | "killed";
  /** The process that runs it, or ran it. */
  readonly leaseId: string;
  /** Milliseconds since 1970; null while it runs, and when it was killed. */
  readonly ended: number | null;
}

export interface StoredBuildStep {
  readonly number: number;
  readonly stage: string;
  /** Without its number: `RUN make`. */
  readonly name: string;
  /** `shared`: another build ran it meanwhile. `running` only in a build that runs, or was killed. */
  readonly outcome: "hit" | "miss" | "shared" | "failed" | "running";
  readonly key: string;
  readonly recordId: string | null;
  /** Content digests, with blanks between, which lead to lists of files: of a COPY, or of a RUN's bind mounts. */
  readonly content: string | null;
  /** JSON of what went into the key. */
  readonly parts: string;
  /** JSON: what changed against an earlier build; `[]` for a hit. */
  readonly changes: string;
  /** Milliseconds since 1970. */
  readonly started: number | null;
  readonly ended: number | null;
}

/** How many builds are remembered. */
const BUILDS_MAX = 100;
/** How many lists of files builds may have made that go on. */
const LISTS_OF_RUNNING = 200;
/** How many earlier steps are looked at for the nearest. */
const CANDIDATES = 20;

/** Tells others that a build goes on, and which steps it runs just now. What it tells later replaces this. */
export function writeRunningStep(
  store: Store,
  build: Pick<StoredBuild, "id" | "created" | "project">,
  step: StoredBuildStep,
): void {
  inTransaction(store.database, () => {
    insertBuild(store, { ...build, outcome: "running", ended: null });
    insertStep(store, build.id, step);
  });
}

/** Keeps a build that has ended, and forgets those that are too old. */
export function writeBuild(
  store: Store,
  build: Omit<StoredBuild, "leaseId">,
  steps: readonly (StoredBuildStep & { readonly failedLog?: readonly LogChunk[] })[],
): void {
  const { database } = store;
  const isNews = steps.some(({ outcome }) => outcome !== "hit");
  const write = () => {
    insertBuild(store, build);
    const keepLog = database.prepare("INSERT OR REPLACE INTO failed_logs VALUES (?, ?, ?)");
    for (const { failedLog, ...step } of steps) {
      insertStep(store, build.id, step);
      if (failedLog !== undefined) keepLog.run(build.id, step.number, encodeLog(failedLog));
    }
    database
      .prepare("DELETE FROM builds WHERE id NOT IN (SELECT id FROM builds ORDER BY created DESC LIMIT ?)")
      .run(BUILDS_MAX);
    dropFileLists(store);
  };
  inTransaction(database, write, { isNews });
}

/** Those that no step names. The newest may be of builds that go on. */
function dropFileLists({ database }: Store): void {
  const old = database
    .prepare(
      `SELECT digest FROM file_lists WHERE rowid <= (SELECT max(rowid) FROM file_lists) - ${LISTS_OF_RUNNING}`,
    )
    .all();
  if (old.length === 0) return;
  const rows = database.prepare("SELECT DISTINCT content FROM build_steps WHERE content IS NOT NULL").all();
  const named = new Set(rows.flatMap(({ content }) => String(content).split(" ")));
  const drop = database.prepare("DELETE FROM file_lists WHERE digest = ?");
  for (const { digest } of old) if (!named.has(String(digest))) drop.run(digest as string);
}

function insertBuild({ database, lease }: Store, build: Omit<StoredBuild, "leaseId">): void {
  const { id, created, project, outcome, ended } = build;
  database
    .prepare(
      `INSERT INTO builds (id, created, project, outcome, lease_id, ended) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome, ended = excluded.ended`,
    )
    .run(id, created, project, outcome, lease.id, ended);
}

function insertStep({ database }: Store, buildId: string, step: StoredBuildStep): void {
  const { number, stage, name, outcome, key, recordId, content, parts, changes, started, ended } = step;
  database
    .prepare(
      `INSERT OR REPLACE INTO build_steps
       (build_id, number, stage, name, outcome, key, record_id, content, parts, changes, started, ended)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    .run(buildId, number, stage, name, outcome, key, recordId, content, parts, changes, started, ended);
}

/** Forgets a build; its results stay in the cache. */
export function removeBuild({ database }: Store, id: string): void {
  inTransaction(database, () => database.prepare("DELETE FROM builds WHERE id = ?").run(id));
}

/** The newest first. */
export function listBuilds({ database }: Store): StoredBuild[] {
  dropDeadLeases(database);
  return database
    .prepare(
      `SELECT id, created, project, lease_id AS leaseId, ended,
       CASE WHEN outcome = 'running' AND lease_id NOT IN (SELECT id FROM leases) THEN 'killed' ELSE outcome END AS outcome
       FROM builds ORDER BY created DESC, rowid DESC`,
    )
    .all() as unknown as StoredBuild[];
}

export function listBuildSteps({ database }: Store, buildId: string): StoredBuildStep[] {
  return database
    .prepare(`SELECT ${STEP_COLUMNS} FROM build_steps WHERE build_id = ? ORDER BY number`)
    .all(buildId) as unknown as StoredBuildStep[];
}

/** What a step of a build made, as far as the store still has it. */
export interface StepLayer {
  readonly stage: string;
  readonly layer: StoredLayer;
}

/** Remembers which images a build came to. One without steps is not remembered itself. */
export function writeBuiltImages({ database }: Store, buildId: string, ids: readonly Digest[]): void {
  const insert = database.prepare("INSERT OR IGNORE INTO built_images SELECT id, ? FROM builds WHERE id = ?");
  const write = () => {
    for (const id of ids) insert.run(id, buildId);
  };
  inTransaction(database, write, { isNews: false });
}

/** What the newest build that came to the image of this id made: the layers of its steps, and its images. Undefined when none is remembered. */
export function findBuildOfImage(
  store: Store,
  imageId: Digest,
): { readonly layers: readonly StepLayer[]; readonly imageIds: readonly Digest[] } | undefined {
  const { database } = store;
  const build = database
    .prepare(
      `SELECT id FROM builds JOIN built_images ON build_id = id WHERE config_digest = ?
       ORDER BY created DESC, builds.rowid DESC LIMIT 1`,
    )
    .get(imageId);
  if (build === undefined) return undefined;
  const id = build.id as string;
  const rows = database
    .prepare(
      `SELECT stage, layer_id AS layerId FROM build_steps JOIN records ON records.id = record_id
       WHERE build_id = ? ORDER BY number`,
    )
    .all(id) as unknown as readonly { readonly stage: string; readonly layerId: string }[];
  const images = database.prepare("SELECT config_digest FROM built_images WHERE build_id = ?").all(id);
  return {
    layers: rows.flatMap(({ stage, layerId }) => {
      const layer = findLayer(store, layerId);
      return layer === undefined ? [] : [{ stage, layer }];
    }),
    imageIds: images.map((row) => row.config_digest as Digest),
  };
}

/**
 * Steps of earlier builds that a step may be compared with, the newest first: the same instruction of the same stage of the same project; where
 * there is none, another one at its place; else the same instruction anywhere.
 */
export function findEarlierSteps(
  { database }: Store,
  { stage, name, number }: Pick<StoredBuildStep, "stage" | "name" | "number">,
  project: string,
): StoredBuildStep[] {
  const find = (condition: string, values: Readonly<Record<string, string | number>>) =>
    database
      .prepare(
        `SELECT ${STEP_COLUMNS} FROM build_steps JOIN builds ON builds.id = build_steps.build_id
         WHERE build_steps.outcome NOT IN ('failed', 'running') AND ${condition} ORDER BY builds.created DESC, builds.rowid DESC LIMIT ${CANDIDATES}`,
      )
      .all(values) as unknown as StoredBuildStep[];
  const same = find("project = :project AND stage = :stage AND name = :name", { project, stage, name });
  if (same.length > 0) return same;
  const place = find("project = :project AND stage = :stage AND number = :number", {
    project,
    stage,
    number,
  });
  return place.length > 0 ? place : find("name = :name", { name });
}

const STEP_COLUMNS = `number, stage, name, build_steps.outcome AS outcome, key, record_id AS recordId, content, parts, changes,
  started, build_steps.ended AS ended`;

/**
 * What a step of a build printed, as far as it is kept: with its record, or with the build when it failed. For one that is `running` there
 * is `openLiveLogReader(store, { leaseId: build.leaseId, key: step.key })`.
 */
export function readStepLog(store: Store, buildId: string, step: StoredBuildStep): LogChunk[] {
  if (step.recordId !== null) return readLog(store, step.recordId);
  const row = store.database
    .prepare("SELECT chunks FROM failed_logs WHERE build_id = ? AND number = ?")
    .get(buildId, step.number);
  return row === undefined ? [] : decodeLog(row.chunks as Uint8Array);
}

export function hasFileList({ database }: Store, digest: string): boolean {
  return database.prepare("SELECT 1 FROM file_lists WHERE digest = ?").get(digest) !== undefined;
}

export function writeFileList({ database }: Store, digest: string, files: Uint8Array): void {
  database.prepare("INSERT OR IGNORE INTO file_lists VALUES (?, ?)").run(digest, files);
}

export function readFileList({ database }: Store, digest: string): Uint8Array | undefined {
  return database.prepare("SELECT files FROM file_lists WHERE digest = ?").get(digest)?.files as
    | Uint8Array
    | undefined;
}
