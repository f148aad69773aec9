import assert from "node:assert/strict";
import { ftruncateSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { type MemberLike, makeLayer, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { makeIgnoreMatcher } from "../dockerfile/make-ignore-matcher.ts";
import type { CopyTree, WrittenLayer } from "./copy-request.ts";
import { indexUpperDirectory } from "./index-upper-directory.ts";
import { materialiseLayer } from "./materialise-layer.ts";
import { packLayer } from "./pack-layer.ts";
import { pathFromText } from "./rootfs-path.ts";
import { selectCopy } from "./select-copy.ts";
import { openUnionTree } from "./union-tree.ts";
import { writeCopyLayer } from "./write-copy-layer.ts";

const skip = process.getuid?.() !== 0 && "needs root";
const options = { makeIgnoreMatcher };

async function copy(at: string, tree: CopyTree, path: string): Promise<WrittenLayer> {
  const request = {
    sources: [{ kind: "path", tree, path }],
    destination: "/made/here/",
    temporaryDirectory: at,
  } as const;
  const selection = selectCopy(request, options);
  try {
    return await writeCopyLayer({ selection, base: [], layersDirectory: join(at, "layers") }, options);
  } finally {
    rmSync(selection.selectionPath);
  }
}

const NAMES = ["a", "a.", "b", "b/c", "b/c/d", "b\xff", "e"];
const KINDS = ["file", "directory", "symlink", "hardlink", "fifo", "char"] as const;
const metadata = {
  kind: fc.constantFrom(...KINDS),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.constantFrom(0, 1000, 3_000_000_000),
  gid: fc.constantFrom(0, 33),
  mtime: fc.constantFrom(0, 1000, 2 ** 33),
  content: fc.constantFrom("", "x", "y".repeat(1000)),
  hasXattr: fc.boolean(),
};
/** One member for some of the names; a name whose parent is no directory is left out. */
const members = fc
  .array(fc.option(fc.record(metadata)), { minLength: NAMES.length, maxLength: NAMES.length })
  .map((drawn) => {
    const made: MemberLike[] = [];
    const directories = new Set([""]);
    let firstFile: MemberLike | undefined;
    for (const [at, draw] of drawn.entries()) {
      const name = NAMES[at]!;
      if (draw === null || !directories.has(name.slice(0, Math.max(name.lastIndexOf("/"), 0)))) continue;
      const { kind, content, hasXattr, ...rest } = draw;
      const xattrs = hasXattr ? { "user.a": Buffer.from("1") } : undefined;
      if (kind === "directory") {
        directories.add(name);
        made.push({ ...rest, name: `${name}/`, ...(xattrs && { xattrs }) });
      } else if (kind === "file") {
        firstFile ??= { ...rest, name };
        made.push({ ...rest, name, content, ...(xattrs && { xattrs }) });
      } else if (kind === "hardlink" && firstFile !== undefined) {
        made.push({ ...firstFile, name, type: kind, linkName: firstFile.name });
      } else if (kind === "symlink") {
        made.push({ ...rest, name, type: kind, linkName: "../to", mode: 0o777 });
      } else if (kind === "fifo" || kind === "char") {
        made.push({ ...rest, name, type: kind, ...(kind === "char" && { deviceMajor: 1, deviceMinor: 3 }) });
      }
    }
    return made;
  });

test("the streamed and the packed form of the same COPY have the same diff ID (property)", {
  skip,
}, async (t) => {
  const at = makeTemporaryDirectory(t);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(members, async (source) => {
      const tree = { kind: "layers", layers: [await makeLayer(join(at, "layers"), source)] } as const;
      const streamed = await copy(at, tree, "/");
      const directory = join(at, `fs${run++}`);
      materialiseLayer({ layer: streamed.layer, below: [], directory });
      const upper = indexUpperDirectory({ directory, indexPath: join(at, "index"), id: "r", base: [] });
      const packed = await packLayer({
        layer: upper,
        compression: "uncompressed",
        blobPath: join(at, "blob"),
      });
      const { content } = streamed.layer;
      assert.ok(content.kind === "tar");
      assert.deepEqual(readFileSync(join(at, "blob")), readFileSync(content.tarPath));
      assert.equal(packed.diffId, streamed.diffId);
    }),
    { numRuns: 60 },
  );
});

test("COPY of a sparse file copies what a reader sees", async (t) => {
  const at = makeTemporaryDirectory(t);
  const directory = join(at, "context");
  mkdirSync(directory);
  const fd = openSync(join(directory, "sparse"), "w");
  writeSync(fd, "begin", 0);
  writeSync(fd, "end", 1 << 20);
  ftruncateSync(fd, 2 << 20);
  assert.ok(statSync(join(directory, "sparse")).blocks * 512 < 2 << 20, "the file system knows holes");
  const { layer } = await copy(at, { kind: "directory", directory, ignorePatterns: [] }, "/sparse");
  using tree = openUnionTree([layer]);
  const bytes = tree.readWhole(tree.lookup(pathFromText("/made/here/sparse"))!, 4 << 20);
  assert.deepEqual(bytes, readFileSync(join(directory, "sparse")));
});

test("COPY takes a path of 4,096 bytes from one layer to another", async (t) => {
  const at = makeTemporaryDirectory(t);
  const parts = Array.from({ length: 20 }, (_, depth) => `${depth}`.padEnd(203, "d"));
  const parents = parts.map((_, depth) => ({ name: `${parts.slice(0, depth + 1).join("/")}/` }));
  const room = 4096 - "made/here/".length - parents.at(-1)!.name.length;
  assert.ok(room > 0);
  const name = `${parents.at(-1)!.name}${"f".repeat(room)}`;
  const layers = [await makeLayer(join(at, "layers"), [...parents, { name, content: "deep" }])];
  const { layer } = await copy(at, { kind: "layers", layers }, "/");
  using tree = openUnionTree([layer]);
  const path = pathFromText(`/made/here/${name}`);
  assert.equal(path.length, 4096);
  assert.equal(tree.readWhole(tree.lookup(path)!).toString(), "deep");
});
