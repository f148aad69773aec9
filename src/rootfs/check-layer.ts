import { createHash } from "node:crypto";
import { closeSync, lstatSync, openSync, readSync, statSync } from "node:fs";
import { digestLayer } from "./digest-layer.ts";
import { readDiskEntry } from "./disk-entry.ts";
import type { Entry } from "./entry.ts";
import { IndexReader } from "./index-reader.ts";
import { isSelfContained } from "./is-self-contained.ts";
import type { Layer } from "./layer.ts";
import { comparePaths, pathToText, ROOT } from "./rootfs-path.ts";
import { openUnionTree, type UnionTree } from "./union-tree.ts";

const CHUNK_SIZE = 1 << 20;

export interface CheckLayerRequest {
  readonly layer: Layer;
  /** The layer unpacked, or the metadata by which it is mounted: looked at in place of the layer's own content. */
  readonly unpackedPath?: string;
}

/**
 * Looks whether a layer of the store is what its index and its digest say: reads the whole index and all content.
 *
 * @returns what is wrong, as the end of a sentence; undefined when all is well.
 */
export function checkLayer(
  { layer, unpackedPath }: CheckLayerRequest,
  throwIfAborted: () => void = () => {},
): string | undefined {
  try {
    if (unpackedPath !== undefined) return checkUnpacked(layer, unpackedPath);
    const { content } = layer;
    const tarSize = content.kind === "tar" ? statSync(content.tarPath).size : 0;
    using tree = openUnionTree([layer]);
    using index = new IndexReader(layer.indexPath);
    for (const entry of readEntries(index, throwIfAborted)) {
      const wrong =
        content.kind === "directory"
          ? checkEntry(content.directoryPath, entry)
          : entry.sparse
            ? checkExpanded(tree, entry)
            : (entry.dataOffset ?? 0) + entry.size > tarSize && entry.dataOffset !== undefined
              ? `its tar ends before "${pathToText(entry.path)}"`
              : undefined;
      if (wrong !== undefined) return wrong;
    }
    if (layer.diffId === undefined) return undefined;
    const { diffId } = digestLayer(layer, throwIfAborted);
    return diffId === layer.diffId ? undefined : `its bytes have the digest ${diffId}`;
  } catch (error) {
    return explain(error);
  }
}

/**
 * Looks whether a file is a layer's index, all of it: for an index whose layer is gone.
 *
 * @returns what is wrong, as the end of a sentence; undefined when all is well.
 */
export function checkIndex(indexPath: string, throwIfAborted: () => void = () => {}): string | undefined {
  try {
    using index = new IndexReader(indexPath);
    for (const _entry of readEntries(index, throwIfAborted));
    return undefined;
  } catch (error) {
    return explain(error);
  }
}

/** All entries of an index whose bytes nobody vouches for: in their order, each of a known type, as many as it says. */
function* readEntries(index: IndexReader, throwIfAborted: () => void): Generator<Entry> {
  let count = 0;
  let last: Entry | undefined;
  for (const entry of index.scan(ROOT)) {
    throwIfAborted();
    const isNext = last === undefined ? entry.path === ROOT : comparePaths(last.path, entry.path) < 0;
    if (!isNext || entry.type === undefined) throw new Error("its index is no list of entries");
    yield entry;
    last = entry;
    count++;
  }
  if (count !== index.count) throw new Error(`its index has ${count} entries, not ${index.count}`);
}

/** @throws what is no finding: that nobody wants to know any more. */
function explain(error: unknown): string {
  const { code, path, message, name } = error as NodeJS.ErrnoException;
  if (name === "AbortError") throw error;
  if (error instanceof RangeError) return `its index is broken: ${message}`;
  return code === "ENOENT" ? `"${path}" is missing` : message;
}

/** What is made of a tar's sparse file is under no diff ID. */
function checkExpanded(tree: UnionTree, entry: Entry): string | undefined {
  const hash = createHash("sha256");
  for (const chunk of tree.read({ entry, layer: 0 })) hash.update(chunk);
  return hash.digest().equals(entry.contentHash!) ? undefined : `"${pathToText(entry.path)}" has other bytes`;
}

/** Times change nothing; a directory's whiteouts are devices 0:0 for the index, too. */
function checkEntry(directory: string, entry: Entry): string | undefined {
  if (entry.implicit) return undefined;
  const found = readDiskEntry(directory, entry.path)?.entry;
  const text = pathToText(entry.path);
  const type = entry.type === "whiteout" ? "char" : entry.type;
  if (found?.type !== type) return `"${text}" is no ${entry.type} any more`;
  if (entry.type === "file" && found.size !== entry.size) return `"${text}" has another size`;
  if (entry.type === "whiteout") return undefined;
  const isOwned = found.uid === entry.uid && found.gid === entry.gid;
  const hasMode = entry.type === "symlink" || found.mode === entry.mode;
  return isOwned && hasMode ? undefined : `"${text}" has another owner or mode`;
}

/** Where paths do not depend on lower layers, all of them are looked at. */
function checkUnpacked(layer: Layer, path: string): string | undefined {
  if (!lstatSync(path).isDirectory() || !isSelfContained(layer)) return undefined;
  using index = new IndexReader(layer.indexPath);
  for (const entry of index.scan(ROOT)) {
    const wrong = checkEntry(path, entry);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** SHA-256 of a file, in hex. */
export function digestFile(path: string, throwIfAborted: () => void = () => {}): string {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafeSlow(CHUNK_SIZE);
  const fd = openSync(path, "r");
  try {
    for (;;) {
      throwIfAborted();
      const read = readSync(fd, buffer, 0, buffer.length, null);
      if (read === 0) return hash.digest("hex");
      hash.update(buffer.subarray(0, read));
    }
  } finally {
    closeSync(fd);
  }
}
