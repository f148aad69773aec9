import { closeSync, openSync, writeSync } from "node:fs";
import type { Entry } from "./entry.ts";
import { type ExportTreesRequest, openExportedTrees } from "./exported-trees.ts";
import type { ByteWork } from "./report-progress.ts";
import { tarPadding } from "./tar-header.ts";
import type { TarMember } from "./tar-member.ts";
import { encodeTarMember, TAR_END } from "./tar-writer.ts";

const ZEROS = Buffer.alloc(512);

/**
 * Trees as one uncompressed tar, in pieces: what they show, not how their layers came to it. Owners are kept. A chunk is valid until
 * the next one is asked for.
 *
 * @throws BuildError `output-failed` when two trees have different things at one path.
 */
export function* treeTarChunks(request: ExportTreesRequest): Generator<Uint8Array> {
  using trees = openExportedTrees(request);
  const directories = new Set<string>();
  const linked = new Map<string, string>();
  for (const { entry, inode, read } of trees.entries()) {
    if (entry.type === "directory") {
      if (request.trees.length > 1 && directories.has(entry.path)) continue;
      if (request.trees.length > 1) directories.add(entry.path);
    }
    const first = inode === undefined ? undefined : linked.get(inode);
    yield encodeTarMember(memberOf(entry, first));
    if (first !== undefined) continue;
    if (inode !== undefined) linked.set(inode, entry.path);
    if (entry.type !== "file" || entry.size === 0) continue;
    yield* read();
    yield ZEROS.subarray(0, tarPadding(entry.size));
  }
  yield TAR_END;
}

export interface WriteTreeTarRequest extends ExportTreesRequest {
  /** A file that the call makes. */
  readonly tarPath: string;
}

export function writeTreeTar(
  request: WriteTreeTarRequest,
  { throwIfAborted, onProgress }: ByteWork = {},
): void {
  const fd = openSync(request.tarPath, "w");
  try {
    let doneBytes = 0;
    for (const chunk of treeTarChunks(request)) {
      throwIfAborted?.();
      for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
      doneBytes += chunk.length;
      onProgress?.(doneBytes);
    }
  } finally {
    closeSync(fd);
  }
}

function memberOf(entry: Entry, linkTo: string | undefined): TarMember {
  const { type } = entry;
  if (type === "whiteout") throw new Error("a whiteout is no part of a tree");
  return {
    name: entry.path,
    type: linkTo === undefined ? type : "hardlink",
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    size: linkTo === undefined ? entry.size : 0,
    mtime: entry.mtime,
    mtimeNs: 0,
    linkName: linkTo ?? entry.linkTarget ?? "",
    deviceMajor: entry.deviceMajor ?? 0,
    deviceMinor: entry.deviceMinor ?? 0,
    ...(entry.xattrs && { xattrs: entry.xattrs }),
  };
}
