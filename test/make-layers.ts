import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { digestBytes } from "../src/oci/digest-bytes.ts";
import { ingestLayer } from "../src/rootfs/ingest-layer.ts";
import type { Layer } from "../src/rootfs/layer.ts";
import { cleanPath } from "../src/rootfs/rootfs-path.ts";
import { tarPadding } from "../src/rootfs/tar-header.ts";
import type { TarMember } from "../src/rootfs/tar-member.ts";
import { encodeTarMember, TAR_END } from "../src/rootfs/tar-writer.ts";
import { openUnionTree } from "../src/rootfs/union-tree.ts";

/** A directory that the end of the test removes. */
export function makeTemporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "slipway-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/**
 * Fields that are left out: file, 0644 (directories 0755), 0:0, mtime 1000; of a hard link those of the member that it names. Names are
 * one char a byte.
 */
export type MemberLike = Partial<TarMember> & {
  readonly name: string;
  readonly content?: string | Uint8Array;
};

/** An uncompressed tar. A name that ends in a slash is a directory. */
export function makeTar(members: readonly MemberLike[]): Buffer {
  const parts: Uint8Array[] = [];
  const named = new Map<string, TarMember>();
  for (const { content = "", ...part } of members) {
    const bytes = Buffer.from(content as string);
    const isDirectory = part.type === "directory" || (part.type === undefined && part.name.endsWith("/"));
    const member: TarMember = {
      type: isDirectory ? "directory" : "file",
      mode: isDirectory ? 0o755 : 0o644,
      uid: 0,
      gid: 0,
      size: bytes.length,
      mtime: 1000,
      mtimeNs: 0,
      linkName: "",
      deviceMajor: 0,
      deviceMinor: 0,
      ...(part.type === "hardlink" && headerOf(named.get(cleanPath(part.linkName!)))),
      ...part,
    };
    named.set(cleanPath(part.name), member);
    parts.push(encodeTarMember(member), bytes, Buffer.alloc(tarPadding(bytes.length)));
  }
  return Buffer.concat([...parts, TAR_END]);
}

function headerOf(member: TarMember | undefined): Partial<TarMember> {
  if (member === undefined) return {};
  const { mode, uid, gid, mtime, xattrs } = member;
  return { mode, uid, gid, mtime, xattrs };
}

/** A layer that was born as a tar, made the way a pulled one is. */
export async function makeLayer(layersDirectory: string, members: readonly MemberLike[]): Promise<Layer> {
  const tar = makeTar(members);
  const { layer } = await ingestLayer(
    { layersDirectory, mediaType: "", digest: digestBytes(tar), size: tar.length },
    { bytes: chunksOf(tar) },
  );
  return layer;
}

/** Those of an image, bottom first, in a directory below `directory`. */
export async function makeLayers(
  directory: string,
  images: readonly (readonly MemberLike[])[],
): Promise<Layer[]> {
  const layers: Layer[] = [];
  for (const members of images) layers.push(await makeLayer(join(directory, "layers"), members));
  return layers;
}

/** False for layers that contradict themselves or each other, and are no image. */
export function isReadable(layers: readonly Layer[]): boolean {
  try {
    using tree = openUnionTree(layers);
    return [...tree.walk()].length > 0;
  } catch {
    return false;
  }
}

export async function* chunksOf(bytes: Uint8Array, size = 64 << 10): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size));
}
