import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { open, readFile, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import type { Digest } from "../oci/digest.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import { tellGrowth } from "./growth.ts";
import { measurePath } from "./measure-path.ts";
import type { Store } from "./open-store.ts";
import { syncPath } from "./sync-path.ts";
import { markUsed } from "./use-time.ts";

/** Blobs that a process has asked for, and which stay as long as it lives. */
const pinned = new WeakMap<Store, Set<Digest>>();

/** Whether the store has a blob; if so it keeps it as long as this process lives. */
export function hasBlob(store: Store, digest: Digest): boolean {
  const path = store.blobPath(digest);
  if (!existsSync(path)) return false;
  const own = pinned.get(store) ?? new Set();
  pinned.set(store, own);
  if (own.has(digest)) return true;
  markUsed(store, digest);
  // It may have gone before the mark.
  if (!existsSync(path)) return false;
  own.add(digest);
  return true;
}

/**
 * A small blob (manifest, config) whole, checked against its digest.
 *
 * @throws BuildError `store` when it is missing or damaged.
 */
export async function readBlob(store: Store, digest: Digest): Promise<Buffer> {
  let bytes: Buffer;
  // Marks it as used.
  hasBlob(store, digest);
  try {
    bytes = await readFile(store.blobPath(digest));
  } catch (error) {
    throw new BuildError("store", `Cannot read blob "${digest}": it is not in the store "${store.root}"`, {
      cause: error,
    });
  }
  if (digestBytes(bytes) !== digest) {
    throw new BuildError(
      "store",
      `Cannot read blob "${digest}": its bytes in the store "${store.root}" have changed`,
    );
  }
  return bytes;
}

export async function readJsonBlob<T>(store: Store, digest: Digest): Promise<T> {
  return JSON.parse((await readBlob(store, digest)).toString("utf8")) as T;
}

/** Writes a small blob; one that is there already is left alone. */
export async function writeBlob(store: Store, bytes: Uint8Array): Promise<Digest> {
  const digest = digestBytes(bytes);
  if (hasBlob(store, digest)) return digest;
  const path = temporaryPath(store);
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(bytes);
  } finally {
    await file.close();
  }
  await adoptBlob(store, path, digest);
  return digest;
}

/**
 * Publishes a finished temporary file, whose digest the caller has verified while it was written: fsync, rename, fsync of
 * the directory, so that a name in blobs/ never stands for missing bytes. The temporary name is gone afterwards.
 */
export async function adoptBlob(store: Store, path: string, digest: Digest): Promise<void> {
  const target = store.blobPath(digest);
  await syncPath(path);
  await rename(path, target);
  await syncPath(dirname(target));
  tellGrowth(store, () => measurePath(target));
}

/** A fresh name in this process's temporary directory; nothing is there yet. */
export function temporaryPath(store: Store): string {
  return join(store.temporaryDirectory, randomUUID());
}

export async function blobSize(store: Store, digest: Digest): Promise<number> {
  return (await stat(store.blobPath(digest))).size;
}
