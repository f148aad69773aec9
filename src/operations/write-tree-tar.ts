import { createReadStream } from "node:fs";
import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Entry } from "../rootfs/entry.ts";
import { baseName, pathBelow } from "../rootfs/rootfs-path.ts";
import { tarPadding } from "../rootfs/tar-header.ts";
import { encodeTarMember, TAR_END } from "../rootfs/tar-writer.ts";
import type { TreeEntry, UnionTree } from "../rootfs/union-tree.ts";
import type { CopyOutRequest } from "./copy-tree-out.ts";

/** Writes a part of a tree as a tar whose names begin with the last part of its path, or with `./` where `/.` was asked for. */
export async function writeTreeTar(
  tree: UnionTree,
  request: Pick<CopyOutRequest, "found" | "path" | "signal">,
  output: Writable,
): Promise<void> {
  await pipeline(Readable.from(encodeTree(tree, request)), output, { end: false, signal: request.signal });
}

async function* encodeTree(
  tree: UnionTree,
  { found, path }: Pick<CopyOutRequest, "found" | "path">,
): AsyncGenerator<Uint8Array> {
  const name = found.path === "" || /(?:^|\/)\.$/.test(path) ? "." : baseName(found.path);
  /** By inode: the name under which it stands in the archive. */
  const linked = new Map<string, string>();
  for (const item of tree.walk(found.path)) {
    const below = pathBelow(item.entry.path, found.path);
    const memberName = below === "" ? name : `${name}/${below}`;
    const inode = item.entry.hardLinkOf === undefined ? undefined : `${item.layer} ${item.entry.hardLinkOf}`;
    const first = inode && linked.get(inode);
    if (first !== undefined) {
      yield encodeTarMember({
        ...member(item.entry, memberName),
        type: "hardlink",
        size: 0,
        linkName: first,
      });
      continue;
    }
    if (inode !== undefined) linked.set(inode, memberName);
    yield encodeTarMember(member(item.entry, memberName));
    if (item.entry.type === "file" && item.entry.size > 0) yield* readFile(tree, item);
  }
  yield TAR_END;
}

async function* readFile(tree: UnionTree, item: TreeEntry): AsyncGenerator<Uint8Array> {
  const { filePath, offset, size } = tree.locate(item);
  yield* createReadStream(filePath, { start: offset, end: offset + size - 1, highWaterMark: 1 << 20 });
  yield Buffer.alloc(tarPadding(size));
}

function member(entry: Entry, name: string) {
  const { type, mode, uid, gid, size, mtime, mtimeNs, xattrs } = entry;
  if (type === "whiteout") throw new Error("a whiteout is no part of a tree");
  return {
    name,
    type,
    mode,
    uid,
    gid,
    size,
    mtime,
    mtimeNs,
    linkName: entry.linkTarget ?? "",
    deviceMajor: entry.deviceMajor ?? 0,
    deviceMinor: entry.deviceMinor ?? 0,
    ...(xattrs && { xattrs }),
  };
}
