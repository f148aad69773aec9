import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { HashedFile } from "./hashed-file.ts";

/** A file that is removed after the test. */
function temporaryFile(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "hashed-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, "file");
}

/** Chunks of lengths that fit into nothing, each of other bytes. */
function* makeChunks(sizeBytes: number): Generator<Buffer> {
  for (let at = 0, count = 0; at < sizeBytes; count++) {
    const chunk = Buffer.alloc(Math.min(sizeBytes - at, 1 + ((count * 7919) % 900_001)), count);
    yield chunk;
    at += chunk.length;
  }
}

for (const usesThread of [false, true]) {
  test(`a HashedFile has all bytes in order, and their digest (${usesThread ? "with" : "without"} a thread)`, async (t) => {
    for (const sizeBytes of [0, 1, 30 << 20, (40 << 20) + 12345]) {
      const path = temporaryFile(t);
      const fd = openSync(path, "wx+");
      const expected = createHash("sha256");
      {
        using file = new HashedFile(fd, { usesThread });
        for (const chunk of makeChunks(sizeBytes)) {
          expected.update(chunk);
          file.write(chunk);
          // As the next chunk is read into the same memory.
          chunk.fill(0xff);
          if (sizeBytes > 0) await sleep(1);
        }
        assert.deepEqual(file.finish(), expected.copy().digest());
      }
      closeSync(fd);
      assert.deepEqual(createHash("sha256").update(readFileSync(path)).digest(), expected.digest());
    }
  });
}

test("two HashedFiles at once do not meet, and one that is given up leaves its thread to others", async (t) => {
  const write = async (filler: number, isGivenUp: boolean) => {
    const path = temporaryFile(t);
    const fd = openSync(path, "wx+");
    try {
      using file = new HashedFile(fd, { usesThread: true });
      const chunk = Buffer.alloc(1 << 20, filler);
      for (let count = 0; count < 40; count++) {
        file.write(chunk);
        await sleep(2);
      }
      if (isGivenUp) return;
      const expected = createHash("sha256")
        .update(Buffer.alloc(40 << 20, filler))
        .digest();
      assert.deepEqual(file.finish(), expected);
      assert.deepEqual(createHash("sha256").update(readFileSync(path)).digest(), expected);
    } finally {
      closeSync(fd);
    }
  };
  await Promise.all([write(1, true), write(2, false)]);
  await Promise.all([write(3, false), write(4, false), write(5, false)]);
});

test("a HashedFile tells why its thread cannot write, and its thread can write the next file", (t) => {
  const path = temporaryFile(t);
  const program = `
    import { closeSync, openSync } from "node:fs";
    import { setTimeout as sleep } from "node:timers/promises";
    const { HashedFile } = await import(${JSON.stringify(new URL("./hashed-file.ts", import.meta.url).href)});
    const write = async (mib) => {
      const fd = openSync(${JSON.stringify(path)}, "w+");
      try {
        using file = new HashedFile(fd, { usesThread: true });
        for (let count = 0; count < mib; count++) {
          file.write(Buffer.alloc(1 << 20, count));
          await sleep(5);
        }
        file.finish();
        return "written";
      } catch ({ code, syscall }) {
        return code + " " + syscall;
      } finally {
        closeSync(fd);
      }
    };
    console.log(await write(80), await write(30));
  `;
  const output = execFileSync("bash", [
    "-c",
    'ulimit -f 65536; exec "$0" --input-type=module -e "$1"',
    process.execPath,
    program,
  ]);
  assert.equal(output.toString(), "EFBIG write written\n");
});
