import { accessSync, constants, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { BuildError } from "../errors/build-error.ts";
import { explainSystemError } from "../errors/explain-system-error.ts";
import { type Digest, digestHex } from "../oci/digest.ts";
import { closeDatabase, explainOpening, openDatabase } from "./database.ts";
import { dropUnsyncedRows } from "./durability.ts";
import { dropDeadLeases, type Lease, takeLease } from "./lease.ts";
import { removeTree } from "./remove-tree.ts";

/**
 * Where slipway keeps everything: one directory, used by any number of processes at once.
 *
 *     blobs/sha256/HEX   manifests, configs, compressed layers, as an OCI layout has them
 *     layers/ID/         index, and tar or directory
 *     m/N/               a layer as a directory for overlay mounts (short names: mount options are limited)
 *     indexes/ID         the index of an image's layer that is gone
 *     git/NAME/          bare repositories: what was fetched of git remotes
 *     tmp/LEASE/         work in progress of one process; gone with it
 *     db.sqlite          rows for all of the above, tags, records
 *
 * Whoever opens it closes it.
 */
export interface Store extends AsyncDisposable {
  readonly root: string;
  readonly database: DatabaseSync;
  readonly lease: Lease;
  /** Own temporary directory, on the same file system as everything else, so that a rename publishes. */
  readonly temporaryDirectory: string;
  readonly layersDirectory: string;
  blobPath(digest: Digest): string;
  layerPath(id: string): string;
  materialisedPath(name: number): string;
}

/** `SLIPWAY_ROOT`, else the usual data directory: /var/lib/slipway for root, $XDG_DATA_HOME/slipway for others. */
export function defaultStoreRoot(env: NodeJS.ProcessEnv): string {
  if (env.SLIPWAY_ROOT) return env.SLIPWAY_ROOT;
  if (process.getuid?.() === 0) return "/var/lib/slipway";
  return join(env.XDG_DATA_HOME || join(homedir(), ".local/share"), "slipway");
}

/**
 * Opens the store at `directory`, makes it when it is not there, and cleans up after processes that died.
 *
 * @throws BuildError `store` when it cannot be used.
 */
export function openStore(directory: string): Store {
  // Runtimes and mounts have another working directory.
  const root = resolve(directory);
  const layersDirectory = join(root, "layers");
  const blobsDirectory = join(root, "blobs/sha256");
  const materialisedDirectory = join(root, "m");
  try {
    // The store holds the files of images, set-uid ones included: nobody else may walk in.
    mkdirSync(root, { recursive: true, mode: 0o711 });
    for (const path of [layersDirectory, blobsDirectory, materialisedDirectory, join(root, "tmp")]) {
      mkdirSync(path, { recursive: true, mode: 0o700 });
    }
  } catch (error) {
    throw new BuildError("store", `Cannot use the store "${root}": ${explainRefusal(root, error)}`, {
      hint: "Choose another directory with --root DIR or SLIPWAY_ROOT",
      cause: error,
    });
  }
  const databasePath = join(root, "db.sqlite");
  const database = openDatabase(databasePath);
  const lease = explainOpening(databasePath, () => {
    removeDeadDirectories(database, join(root, "tmp"));
    return takeLease(database);
  });
  dropUnsyncedRows(database, lease.bootId);
  const temporaryDirectory = join(root, "tmp", lease.id);
  mkdirSync(temporaryDirectory, { mode: 0o700 });
  return {
    root,
    database,
    lease,
    temporaryDirectory,
    layersDirectory,
    blobPath: (digest) => join(blobsDirectory, digestHex(digest)),
    layerPath: (id) => `${layersDirectory}/${id}`,
    materialisedPath: (name) => join(materialisedDirectory, name.toString(36)),
    async [Symbol.asyncDispose]() {
      await removeTree(temporaryDirectory);
      lease[Symbol.dispose]();
      await closeDatabase(database);
    },
  };
}

/** Node's recursive mkdir says ENOENT on a file system that is read-only: the nearest directory that is there knows better. */
function explainRefusal(root: string, error: unknown): string {
  let existing = resolve(root);
  while (!existsSync(existing)) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK);
  } catch (refusal) {
    return explainSystemError(refusal);
  }
  return explainSystemError(error);
}

/** Removes what dead processes left. Listed first: a directory's lease is older than it and ends after it. */
function removeDeadDirectories(database: DatabaseSync, directory: string): void {
  const names = readdirSync(directory);
  dropDeadLeases(database);
  const find = database.prepare("SELECT 1 FROM leases WHERE id = ?");
  for (const name of names) {
    if (find.get(name) === undefined) rmSync(join(directory, name), { recursive: true, force: true });
  }
}
