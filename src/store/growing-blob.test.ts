import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Digest } from "../oci/digest.ts";
import { GrowingBlob } from "./growing-blob.ts";

const digest: Digest = `sha256:${"a".repeat(64)}`;

function makePath(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "slipway-growing-"));
  t.after(() => rmSync(directory, { recursive: true }));
  return join(directory, "blob");
}

async function readAll(blob: GrowingBlob): Promise<string> {
  let text = "";
  for await (const piece of blob.read()) text += Buffer.from(piece).toString("latin1");
  return text;
}

test("a growing blob is read as it comes, to the end that it has when it is whole", async (t) => {
  const path = makePath(t);
  const blob = new GrowingBlob(path);
  writeFileSync(path, "one ");
  const pieces = blob.read();
  const next = async () => Buffer.from((await pieces.next()).value ?? []).toString();
  assert.equal(await next(), "one ");
  const second = next();
  appendFileSync(path, "two ");
  blob.grow();
  assert.equal(await second, "two ");
  const third = next();
  assert.equal(blob.digest, undefined);
  // The last bytes come with the end; it is elsewhere by then.
  appendFileSync(path, "three".repeat(100_000));
  renameSync(path, `${path}-whole`);
  blob.end(digest, `${path}-whole`);
  assert.equal(blob.digest, digest);
  assert.match(await third, /^(three)+/);
  const again = await readAll(blob);
  assert.equal(again, `one two ${"three".repeat(100_000)}`);
  let rest = "";
  for await (const piece of pieces) rest += Buffer.from(piece).toString();
  assert.equal(again, `one two ${await third}${rest}`);
});

test("whoever reads a blob that does not become whole gets its failure", async (t) => {
  const path = makePath(t);
  writeFileSync(path, "one");
  const blob = new GrowingBlob(path);
  const reading = readAll(blob);
  blob.fail(new Error("no space"));
  await assert.rejects(reading, /no space/);
  await assert.rejects(readAll(blob), /no space/);
});
