import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type ArchiveCompression, inflateArchive } from "./inflate-archive.ts";

const run = (program: string) => (input: Buffer) =>
  execFileSync(program, ["-c"], { input, maxBuffer: 1 << 30 });

const COMPRESSORS: Readonly<Record<Exclude<ArchiveCompression, "uncompressed">, (part: Buffer) => Buffer>> = {
  gzip: (part) => gzipSync(part),
  zstd: (part) => zstdCompressSync(part),
  bzip2: run("bzip2"),
  xz: run("xz"),
};

/** As a file is read: each chunk in the same buffer. */
function* inOneBuffer(bytes: Buffer, chunkSize: number): Generator<Uint8Array> {
  const buffer = Buffer.alloc(chunkSize);
  for (let at = 0; at < bytes.length; at += chunkSize) {
    const size = bytes.copy(buffer, 0, at, at + chunkSize);
    yield buffer.subarray(0, size);
  }
}

async function inflate(bytes: Buffer, chunkSize: number): Promise<Buffer> {
  const plain: Buffer[] = [];
  await inflateArchive(inOneBuffer(bytes, chunkSize), (chunk) => {
    plain.push(Buffer.from(chunk));
  });
  return Buffer.concat(plain);
}

for (const [name, compress] of Object.entries(COMPRESSORS)) {
  test(`inflateArchive() takes ${name} streams that follow each other, as parallel compressors make them`, async () => {
    const parts = [700_000, 300_000, 0, 900_000].map((size) => randomBytes(size));
    const compressed = Buffer.concat(parts.map(compress));
    for (const chunkSize of [256 << 10, 100_003, 4096])
      assert.ok(
        (await inflate(compressed, chunkSize)).equals(Buffer.concat(parts)),
        `chunks of ${chunkSize}`,
      );
  });

  test(`inflateArchive() takes ${name} streams cut anywhere, and refuses one that is cut off`, async () => {
    const parts = ["one", "", "two"].map((text) => Buffer.from(text));
    const compressed = Buffer.concat(parts.map(compress));
    for (let chunkSize = 1; chunkSize <= compressed.length; chunkSize++)
      assert.equal((await inflate(compressed, chunkSize)).toString(), "onetwo", `chunks of ${chunkSize}`);
    for (const missing of [1, 5])
      await assert.rejects(inflate(compressed.subarray(0, -missing), 64), { name: "BuildError" });
  });
}

for (const name of ["gzip", "zstd"] as const) {
  test(`inflateArchive() takes ${name} whose chunks hold more than may wait to be handed on`, async () => {
    // Each is a kilobyte or so.
    const parts = Array.from({ length: 40 }, (_, number) => Buffer.alloc(1_400_000 + number, `${number}`));
    const compressed = Buffer.concat(parts.map(COMPRESSORS[name]));
    const [found, expected] = [createHash("sha256"), createHash("sha256")];
    await inflateArchive([compressed], (chunk) => {
      found.update(chunk);
    });
    for (const part of parts) expected.update(part);
    assert.equal(found.digest("hex"), expected.digest("hex"));
  });
}

for (const [name, compress] of Object.entries(COMPRESSORS)) {
  test(`inflateArchive() of ${name} ends with what its reader and its source throw, and the next one is not kept waiting`, async () => {
    const compressed = compress(randomBytes(100_000));
    for (let round = 0; round < 3; round++) {
      const seen = inflateArchive(inOneBuffer(compressed, 65_536), () => {
        throw new Error("seen enough");
      });
      await assert.rejects(seen, { message: "seen enough" });
      const source = (async function* () {
        yield compressed.subarray(0, 50_000);
        throw new Error("cable cut");
      })();
      await assert.rejects(
        inflateArchive(source, () => {}),
        { message: "cable cut" },
      );
    }
  });
}
