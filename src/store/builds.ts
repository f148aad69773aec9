import { inTransaction } from "./database.ts";
import type { Store } from "./open-store.ts";

/** A build that the store remembers. */
export interface StoredBuild {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** The same for builds of one context and Dockerfile. */
  readonly project: string;
  readonly outcome: "done" | "failed";
}

export interface StoredBuildStep {
  readonly number: number;
  readonly stage: string;
  /** Without its number: `RUN make`. */
  readonly name: string;
  readonly outcome: "hit" | "miss" | "shared" | "failed";
  readonly key: string;
  readonly recordId: string | null;
  /** Of a COPY: the content digest, which leads to the list of its files. */
  readonly content: string | null;
  /** JSON of what went into the key. */
  readonly parts: string;
  /** JSON: what changed against an earlier build; `[]` for a hit. */
  readonly changes: string;
}

/** How many builds are remembered. */
const BUILDS_MAX = 100;
/** How many lists of files builds may have made that go on. */
const LISTS_OF_RUNNING = 200;
/** How many earlier steps are looked at for the nearest. */
const CANDIDATES = 20;

/** Keeps a build, and forgets those that are too old. */
export function writeBuild(store: Store, build: StoredBuild, steps: readonly StoredBuildStep[]): void {
  const { database } = store;
  inTransaction(database, () => {
    database
      .prepare("INSERT INTO builds VALUES (?, ?, ?, ?)")
      .run(build.id, build.created, build.project, build.outcome);
    const insert = database.prepare("INSERT INTO build_steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (const step of steps) {
      const { number, stage, name, outcome, key, recordId, content, parts, changes } = step;
      insert.run(build.id, number, stage, name, outcome, key, recordId, content, parts, changes);
    }
    database
      .prepare("DELETE FROM builds WHERE id NOT IN (SELECT id FROM builds ORDER BY created DESC LIMIT ?)")
      .run(BUILDS_MAX);
    database
      .prepare(
        // The newest may be of builds that go on.
        `DELETE FROM file_lists WHERE digest NOT IN (SELECT content FROM build_steps WHERE content IS NOT NULL)
         AND rowid <= (SELECT max(rowid) FROM file_lists) - ${LISTS_OF_RUNNING}`,
      )
      .run();
  });
}

/** The newest first. */
export function listBuilds({ database }: Store): StoredBuild[] {
  return database
    .prepare("SELECT * FROM builds ORDER BY created DESC, rowid DESC")
    .all() as unknown as StoredBuild[];
}

export function listBuildSteps({ database }: Store, buildId: string): StoredBuildStep[] {
  return database
    .prepare(`SELECT ${STEP_COLUMNS} FROM build_steps WHERE build_id = ? ORDER BY number`)
    .all(buildId) as unknown as StoredBuildStep[];
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
         WHERE build_steps.outcome <> 'failed' AND ${condition} ORDER BY builds.created DESC, builds.rowid DESC LIMIT ${CANDIDATES}`,
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

const STEP_COLUMNS = `number, stage, name, build_steps.outcome AS outcome, key, record_id AS recordId, content, parts, changes`;

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
