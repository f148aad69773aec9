import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { chunksOf, type MemberLike, makeTar, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import type { RootfsPath } from "./entry.ts";
import { IndexReader } from "./index-reader.ts";
import { type IngestRequest, ingestLayer } from "./ingest-layer.ts";

const ROOT = "" as RootfsPath;

function ingest(directory: string, blob: Uint8Array, part: Partial<IngestRequest> & { step?: number } = {}) {
  const { step, ...rest } = part;
  const request = {
    layersDirectory: directory,
    mediaType: "",
    digest: digestBytes(blob),
    size: blob.length,
    ...rest,
  };
  return ingestLayer(request, { bytes: chunksOf(blob, step) });
}

const members: readonly MemberLike[] = [
  { name: "d/", mode: 0o1777 },
  {
    name: "d/f",
    content: "hello",
    mode: 0o4755,
    uid: 7,
    gid: 8,
    mtime: 42,
    xattrs: { "user.a": Buffer.from("b") },
  },
  { name: "d/.wh.gone" },
  { name: "./o/.wh..wh..opq" },
  { name: "/abs", type: "symlink", linkName: "d/f", mode: 0o777 },
  { name: "null", type: "char", deviceMajor: 1, deviceMinor: 3 },
  { name: "zero", type: "char" },
  { name: "hard", type: "hardlink", linkName: "./d/f" },
  { name: "b/", mode: 0o755 },
  { name: "big", content: Buffer.alloc(300_000, "x") },
];

for (const [name, compress] of [
  ["plain", (tar: Buffer) => tar],
  ["gzip", gzipSync],
  [
    "two gzip members",
    (tar: Buffer) => Buffer.concat([gzipSync(tar.subarray(0, 700)), gzipSync(tar.subarray(700))]),
  ],
  ["zstd", (tar: Buffer) => zstdCompressSync(tar)],
  [
    "zstd frames with skippable ones between",
    (tar: Buffer) => {
      const skippable = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
      const frames = [0, 700, 1500, 200_000].map((at, position, all) =>
        zstdCompressSync(tar.subarray(at, all[position + 1])),
      );
      return Buffer.concat([skippable, ...frames.flatMap((frame) => [frame, skippable])]);
    },
  ],
] as const) {
  for (const step of [1 << 20, 1000, 3]) {
    test(`ingestLayer() reads ${name} in chunks of ${step} bytes`, async (t) => {
      const directory = makeTemporaryDirectory(t);
      const tar = makeTar(members);
      const blob = compress(tar);
      const blobPath = join(directory, "blob");
      const { layer, diffId, tarSizeBytes } = await ingest(directory, blob, { step, blobPath });
      assert.equal(diffId, digestBytes(tar));
      assert.equal(tarSizeBytes, tar.length);
      assert.equal(layer.id, diffId.slice(7));
      assert.deepEqual(readFileSync(blobPath), blob);
      assert.ok(layer.content.kind === "tar");
      assert.deepEqual(readFileSync(layer.content.tarPath), tar);
      using index = new IndexReader(layer.indexPath);
      const entries = new Map([...index.scan(ROOT)].map((entry) => [entry.path as string, entry]));
      const expected = ["", "abs", "b", "big", "d", "d/f", "d/gone", "hard", "null", "o", "zero"];
      assert.deepEqual([...entries.keys()], expected);
      const f = entries.get("d/f")!;
      assert.deepEqual([f.mode, f.uid, f.gid, f.size, f.mtime], [0o4755, 7, 8, 5, 42]);
      assert.equal(Buffer.from(f.xattrs!["user.a"]!).toString(), "b");
      const content = Buffer.alloc(5);
      const fd = openSync(layer.content.tarPath, "r");
      readSync(fd, content, 0, 5, f.dataOffset!);
      closeSync(fd);
      assert.equal(content.toString(), "hello");
      assert.equal(f.contentHash, undefined, "computed when somebody asks");
      assert.equal(entries.get("d/gone")!.type, "whiteout");
      assert.deepEqual([entries.get("o")!.opaque, entries.get("o")!.implicit], [true, true]);
      assert.equal(entries.get("zero")!.type, "char", "a device 0:0 in an archive is no whiteout");
      assert.deepEqual([entries.get("hard")!.hardLinkOf, f.hardLinkOf], ["d/f", "d/f"]);
      assert.deepEqual(readdirSync(directory).sort(), [layer.id, "blob"].sort());
    });
  }
}

test("ingestLayer() of the same layer twice gives the same one", async (t) => {
  const directory = makeTemporaryDirectory(t);
  const tar = makeTar(members);
  const results = await Promise.all([
    ingest(directory, tar),
    ingest(directory, gzipSync(tar)),
    ingest(directory, tar),
  ]);
  assert.deepEqual(results[0], results[1]);
  assert.deepEqual(readdirSync(directory), [results[0].layer.id]);
});

test("ingestLayer() keeps the index alone when nothing else is wanted", async (t) => {
  const directory = makeTemporaryDirectory(t);
  const tar = makeTar(members);
  const whole = await ingest(join(directory, "whole"), tar);
  const { layer, tarSizeBytes } = await ingest(join(directory, "index"), tar, { keepsTar: false });
  assert.equal(tarSizeBytes, tar.length);
  assert.deepEqual(readdirSync(join(directory, "index", layer.id)), ["index"]);
  assert.deepEqual(readFileSync(layer.indexPath), readFileSync(whole.layer.indexPath));
  await assert.rejects(
    ingest(join(directory, "index"), tar, { keepsTar: false, diffId: digestBytes("other") }),
    {
      code: "verification",
    },
  );
});

test("ingestLayer() accepts a layer with nothing in it", async (t) => {
  const directory = makeTemporaryDirectory(t);
  for (const blob of [makeTar([]), Buffer.alloc(0)]) {
    const { layer } = await ingest(directory, blob);
    using index = new IndexReader(layer.indexPath);
    assert.deepEqual(
      [...index.scan(ROOT)].map((entry) => entry.path),
      [""],
    );
  }
});

test("ingestLayer() verifies digest, size and diff ID and leaves nothing behind", async (t) => {
  const directory = makeTemporaryDirectory(t);
  mkdirSync(join(directory, "layers"));
  const layersDirectory = join(directory, "layers");
  const tar = makeTar(members);
  const blobPath = join(directory, "blob");
  const wrong = digestBytes("other");
  const refuse = (part: Partial<IngestRequest>, message: RegExp) =>
    assert.rejects(ingest(layersDirectory, gzipSync(tar), { blobPath, ...part }), {
      code: "verification",
      message,
    });
  await refuse({ digest: wrong }, /its digest is sha256:/);
  await refuse({ size: 10 }, /more than 10 bytes instead of 10/);
  await refuse({ size: 1e6 }, /bytes instead of 1000000/);
  await refuse({ diffId: wrong }, /its diff ID is sha256:.* the image says/);
  const cut = gzipSync(tar).subarray(0, 300);
  await assert.rejects(ingest(layersDirectory, cut, { blobPath }), { code: "image-invalid" });
  await assert.rejects(ingest(layersDirectory, tar.subarray(0, 2000), { blobPath }), { message: /cut off/ });
  const cutZstd = zstdCompressSync(tar).subarray(0, -20);
  await assert.rejects(ingest(layersDirectory, cutZstd, { blobPath }), { message: /cut off/ });
  await assert.rejects(ingest(layersDirectory, Buffer.from("no tar, no tar"), { blobPath }), {
    message: /cut off/,
  });
  assert.ok(!existsSync(blobPath));
  assert.deepEqual(readdirSync(directory), ["layers"]);
  assert.deepEqual(readdirSync(layersDirectory), []);
});

for (const [what, member, message] of [
  ["a name that begins with ..", { name: "../x" }, /leads out/],
  ["a name that leads out further on", { name: "a/../../x" }, /leads out/],
  ["a hard link that leads out", { name: "x", type: "hardlink", linkName: "../../etc/shadow" }, /leads out/],
  [
    "a hard link to a whiteout",
    { name: "x", type: "hardlink", linkName: "a/.wh.b" },
    /hard link to a whiteout/,
  ],
  ["a whiteout of nothing", { name: "a/.wh." }, /whiteout of nothing/],
  ["a whiteout of .", { name: "a/.wh.." }, /whiteout of nothing/],
  ["a whiteout of ..", { name: "a/.wh..." }, /whiteout of nothing/],
  ["a whiteout that leads out", { name: "a/../../.wh.passwd" }, /leads out/],
  ["a whiteout of a whiteout", { name: "a/.wh..wh.b" }, /whiteout of nothing/],
  ["a directory that is called a whiteout", { name: "a/.wh.b/c" }, /name of a whiteout/],
  [
    "an attribute that an overlay believes",
    { name: "x", xattrs: { "trusted.overlay.redirect": Buffer.from("/etc") } },
    /extended attribute/,
  ],
  [
    "an attribute that a user's overlay believes",
    { name: "x", xattrs: { "user.overlay.opaque": Buffer.from("y") } },
    /extended attribute/,
  ],
  ["a root that is a symlink", { name: "./", type: "symlink", linkName: "/etc" }, /root must be a directory/],
] as readonly [string, MemberLike, RegExp][]) {
  test(`ingestLayer() refuses ${what}`, async (t) => {
    const directory = makeTemporaryDirectory(t);
    await assert.rejects(ingest(directory, makeTar([member])), { code: "image-invalid", message });
    assert.deepEqual(readdirSync(directory), []);
  });
}

test("ingestLayer() counts the holes of sparse files as what they become", {
  skip: process.platform !== "linux" && "needs GNU tar",
}, async (t) => {
  const at = makeTemporaryDirectory(t);
  execFileSync("truncate", ["-s", "2T", join(at, "hole")]);
  const tar = execFileSync("tar", ["--format=pax", "--sparse", "-C", at, "-cf", "-", "hole"]);
  const directory = join(at, "layers");
  await assert.rejects(ingest(directory, tar), { code: "input-limit", message: /\(expansion\)/ });
  assert.deepEqual(readdirSync(directory), []);
});

test("ingestLayer() clamps absolute names to the layer", async (t) => {
  const directory = makeTemporaryDirectory(t);
  const { layer } = await ingest(directory, makeTar([{ name: "/../../etc/passwd", content: "x" }]));
  using index = new IndexReader(layer.indexPath);
  assert.deepEqual(
    [...index.scan(ROOT)].map((entry) => entry.path),
    ["", "etc", "etc/passwd"],
  );
});

test("ingestLayer() stops when it is aborted", async (t) => {
  const directory = makeTemporaryDirectory(t);
  const tar = makeTar(members);
  const abort = new AbortController();
  async function* bytes() {
    yield tar.subarray(0, 1000);
    abort.abort(new Error("enough"));
    yield tar.subarray(1000);
  }
  const request = { layersDirectory: directory, mediaType: "", digest: digestBytes(tar), size: tar.length };
  await assert.rejects(ingestLayer(request, { bytes: bytes(), signal: abort.signal }), /enough/);
  assert.deepEqual(readdirSync(directory), []);
});
