import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import {
  chunksOf,
  type MemberLike,
  makeLayer,
  makeTar,
  makeTemporaryDirectory,
} from "../../test/make-layers.ts";
import { digestHex } from "../oci/digest.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import { type BlockToCompress, compressBlock } from "./compress-block.ts";
import { BlockCutter } from "./cut-blocks.ts";
import { indexUpperDirectory } from "./index-upper-directory.ts";
import { ingestLayer } from "./ingest-layer.ts";
import type { Layer } from "./layer.ts";
import { type PackRequest, packLayer } from "./pack-layer.ts";

const skip = process.platform === "linux" && process.getuid?.() === 0 ? false : "needs root on Linux";

function pseudoRandom(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0, state = 1; at < size; at++) {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    // Compressible, but not trivially.
    bytes[at] = 97 + ((state >> 16) & 7);
  }
  return bytes;
}

const members: readonly MemberLike[] = [
  { name: "small/" },
  ...Array.from({ length: 300 }, (_, number) => ({
    name: `small/${number}`,
    content: pseudoRandom(number * 10),
  })),
  { name: "large", content: pseudoRandom(3_000_000) },
  { name: "n".repeat(300), content: "x" },
];

test("BlockCutter cuts where the tar says, whatever the pieces are", () => {
  const cut = (tar: Buffer, step: number) => {
    const blocks: Buffer[] = [];
    const cutter = new BlockCutter({ aim: 4096, limit: 10_000 }, (block) => blocks.push(block));
    for (let at = 0; at < tar.length; at += step) cutter.write(tar.subarray(at, at + step));
    cutter.end();
    return blocks;
  };
  const anyMember = fc.record({ size: fc.oneof(fc.nat(900), fc.nat(40_000)), long: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(anyMember),
      fc.integer({ min: 1, max: 70_000 }),
      fc.nat(30_000),
      (some, step, extra) => {
        const tar = Buffer.concat([
          makeTar(
            some.map(({ size, long }, at) => ({
              name: `${"n".repeat(long ? 5000 : 3)}${at}`,
              content: pseudoRandom(size),
            })),
          ),
          Buffer.alloc(extra),
        ]);
        const blocks = cut(tar, step);
        assert.deepEqual(Buffer.concat(blocks), tar);
        assert.ok(blocks.every((block) => block.length <= 10_000 && block.length > 0));
        assert.deepEqual(
          blocks.map((block) => block.length),
          cut(tar, tar.length).map((block) => block.length),
        );
      },
    ),
    { numRuns: 60 },
  );
});

for (const compression of ["gzip", "zstd", "uncompressed"] as const) {
  test(`packLayer() writes ${compression} that others read, the same for any number of threads`, async (t) => {
    const at = makeTemporaryDirectory(t);
    const layer = await makeLayer(join(at, "layers"), members);
    const tar = makeTar(members);
    const blobPath = join(at, "blob");
    const packed = await packLayer({ layer, compression, blobPath });
    const blob = readFileSync(blobPath);
    assert.deepEqual(packed, {
      digest: digestBytes(blob),
      size: blob.length,
      diffId: digestBytes(tar),
      tarSizeBytes: tar.length,
    });
    if (compression === "gzip") {
      assert.deepEqual(gunzipSync(blob), tar);
      assert.deepEqual(execFileSync("gzip", ["-dc", blobPath], { maxBuffer: 1e9 }), tar);
      assert.ok(blob.length < tar.length / 2);
    }
    if (compression === "zstd") {
      assert.deepEqual(execFileSync("zstd", ["-dc"], { input: blob, maxBuffer: 1e9 }), tar);
    }
    const again = await packLayer(
      { layer, compression, blobPath: join(at, "blob2") },
      {
        parallel: 5,
        compress: async (block) => {
          await new Promise((done) => setTimeout(done, Math.random() * 5));
          return compressBlock(block);
        },
      },
    );
    assert.deepEqual(again, packed);
    const back = await ingestLayer(
      { layersDirectory: join(at, "back"), mediaType: "", digest: packed.digest, size: packed.size },
      { bytes: chunksOf(blob) },
    );
    assert.equal(back.diffId, packed.diffId);
    assert.deepEqual(readdirSync(at).sort(), ["back", "blob", "blob2", "layers"]);
  });
}

for (const compression of ["gzip", "zstd"] as const) {
  test(`packLayer() compresses ${compression} blocks once, and the bytes are the same as without that`, async (t) => {
    const at = makeTemporaryDirectory(t);
    const reuse = { databasePath: join(at, "blocks"), blobsDirectory: at, encoder: "one" };
    let compressed = 0;
    const pack = async (some: readonly MemberLike[], more: Partial<PackRequest> = {}) => {
      const layer = await makeLayer(join(at, "layers"), some);
      const request = { layer, compression, blobPath: join(at, "packed"), ...more };
      const plain = await packLayer({ ...request, reuse: undefined });
      compressed = 0;
      const compress = async (block: BlockToCompress) => {
        compressed++;
        return compressBlock(block);
      };
      const packed = await packLayer({ ...request, reuse, ...more }, { compress, parallel: 3 });
      assert.deepEqual(packed, plain);
      const blob = join(at, digestHex(packed.digest));
      renameSync(join(at, "packed"), blob);
      return { blob, compressed };
    };
    const files = [1, 2, 3, 4].map((name) => ({
      name: `${name}`,
      content: randomBytes(530_000),
    }));
    const first = await pack(files);
    assert.ok(first.compressed >= 3);
    assert.equal((await pack(files)).compressed, 1, "only the last block");
    const changed = files.map((file) => (file.name === "3" ? { ...file, content: "other" } : file));
    const second = await pack(changed);
    assert.ok(second.compressed > 1 && second.compressed < first.compressed, "some of the blocks");
    assert.equal((await pack(files, { reuse: { ...reuse, encoder: "two" } })).compressed, first.compressed);
    assert.equal((await pack(files, { level: 1 })).compressed, first.compressed);

    const { blob } = await pack(files);
    const bytes = readFileSync(blob);
    bytes[1000]! ^= 1;
    writeFileSync(blob, bytes);
    assert.ok((await pack(files)).compressed > 1, "what is damaged is not used");
    rmSync(blob);
    rmSync(second.blob);
    assert.equal((await pack(files)).compressed, first.compressed, "nor what is gone");
    writeFileSync(reuse.databasePath, "no database");
    assert.equal((await pack(files)).compressed, first.compressed);
  });
}

test("packLayer() of nothing is a valid archive", async (t) => {
  const at = makeTemporaryDirectory(t);
  const layer = await makeLayer(join(at, "layers"), []);
  await packLayer({ layer, compression: "gzip", blobPath: join(at, "blob") });
  assert.deepEqual(gunzipSync(readFileSync(join(at, "blob"))), Buffer.alloc(1024));
});

test("packLayer() leaves nothing behind when it fails", async (t) => {
  const at = makeTemporaryDirectory(t);
  const layer = await makeLayer(join(at, "layers"), members);
  const compress = () => Promise.reject(new Error("no"));
  await assert.rejects(
    packLayer({ layer, compression: "gzip", blobPath: join(at, "blob") }, { compress }),
    /no/,
  );
  assert.deepEqual(readdirSync(at), ["layers"]);
});

test("packLayer() writes a directory as a tar that GNU tar agrees with", { skip }, async (t) => {
  const at = makeTemporaryDirectory(t);
  const upper = join(at, "upper");
  mkdirSync(join(upper, "d/e"), { recursive: true });
  writeFileSync(join(upper, "d/f"), pseudoRandom(700_001));
  chmodSync(join(upper, "d/f"), 0o6750);
  linkSync(join(upper, "d/f"), join(upper, "d/hard"));
  symlinkSync("f", join(upper, "d/s"));
  writeFileSync(join(upper, "empty"), "");
  execFileSync("mkfifo", [join(upper, "p")]);
  execFileSync("mknod", [join(upper, "gone"), "c", "0", "0"]);
  const layer: Layer = indexUpperDirectory({
    directory: upper,
    indexPath: join(at, "index"),
    id: "r",
    base: [await makeLayer(join(at, "layers"), [{ name: "gone" }])],
  });
  const packed = await packLayer({ layer, compression: "uncompressed", blobPath: join(at, "blob") });
  assert.equal(packed.diffId, packed.digest);
  const out = join(at, "out");
  mkdirSync(out);
  execFileSync("tar", ["-xpf", join(at, "blob"), "-C", out]);
  assert.ok(readdirSync(out).includes(".wh.gone"));
  execFileSync("rm", [join(upper, "gone"), join(out, ".wh.gone")]);
  const list = (directory: string) =>
    execFileSync("find", [".", "-mindepth", "1", "-printf", "%P %y %m %U %G %s %n %l %Ts\n"], {
      cwd: directory,
    })
      .toString()
      .replace(/ d (\S+ \S+ \S+) \d+ /g, " d $1 ")
      .split("\n")
      .sort();
  assert.deepEqual(list(out), list(upper));
  execFileSync("diff", [join(out, "d/hard"), join(upper, "d/f")]);
});
