import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { type InflateOptions, inflateArchive } from "./inflate-archive.ts";

function* inChunks(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size));
}

/** What comes out, or what is wrong. */
async function inflate(chunks: Iterable<Uint8Array>, options: InflateOptions): Promise<Buffer | string> {
  const pieces: Buffer[] = [];
  try {
    await inflateArchive(chunks, (piece) => void pieces.push(Buffer.from(piece)), options);
    return Buffer.concat(pieces);
  } catch (error) {
    return (error as Error).message;
  }
}

/** RFC 1952: a member with the name of its file. */
function withName(member: Buffer): Buffer {
  const header = Buffer.from(member.subarray(0, 10));
  header[3] = 8;
  return Buffer.concat([header, Buffer.from("name\0"), member.subarray(10)]);
}

const part = fc.record({
  size: fc.oneof(fc.nat(20), fc.nat(200_000)),
  level: fc.integer({ min: 0, max: 9 }),
  isNamed: fc.boolean(),
});

test("gzip comes out the same without its checksum, whatever follows it and wherever it is cut (property)", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { minLength: 1, maxLength: 3 }),
      fc.constantFrom("", "\0", "\0\0\0\0", "garbage", "\x1f\x8b"),
      fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 40 })),
      fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1000, max: 500_000 })),
      fc.boolean(),
      async (parts, behind, missing, chunkSize, keepsChunks) => {
        const members = parts.map(({ size, level, isNamed }) => {
          const content = Buffer.concat([randomBytes(size >> 1), Buffer.alloc(size >> 1, "text ")]);
          const member = gzipSync(content, { level });
          return isNamed ? withName(member) : member;
        });
        const all = Buffer.concat([...members, Buffer.from(behind, "latin1")]);
        const bytes = all.subarray(0, all.length - missing);
        // Of small chunks a few thousand would do no more.
        const size = Math.max(chunkSize, Math.ceil(bytes.length / 2000));
        const expected = await inflate(inChunks(bytes, size), { keepsChunks });
        const found = await inflate(inChunks(bytes, size), { keepsChunks, skipsChecksum: true });
        assert.ok(
          Buffer.isBuffer(expected) && Buffer.isBuffer(found) ? found.equals(expected) : found === expected,
          `${found.slice(0, 200)} instead of ${expected.slice(0, 200)}`,
        );
      },
    ),
    { numRuns: 80 },
  );
});

test("gzip without its checksum has the length that it says, or is damaged", async () => {
  const bytes = gzipSync("some text");
  const changed = Buffer.from(bytes);
  changed[bytes.length - 1] = 1;
  assert.match(String(await inflate([changed], { skipsChecksum: true })), /incorrect length check/);
  const wrongSum = Buffer.from(bytes);
  wrongSum[bytes.length - 5]! ^= 1;
  assert.match(String(await inflate([wrongSum], {})), /incorrect data check/);
  assert.equal(String(await inflate([wrongSum], { skipsChecksum: true })), "some text");
});
