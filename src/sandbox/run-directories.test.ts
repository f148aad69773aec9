import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeRunDirectories } from "./run-directories.ts";

test("each command has scratch directories of its own, made ahead or not", (t) => {
  const parent = mkdtempSync(join(tmpdir(), "run-directories-"));
  t.after(() => rmSync(parent, { recursive: true, force: true }));
  const directories = makeRunDirectories(parent);
  const taken = [directories.take()];
  directories.prepare();
  directories.prepare();
  assert.equal(readdirSync(parent).length, 2);
  taken.push(directories.take(), directories.take());
  assert.equal(new Set(taken).size, 3);
  assert.equal(readdirSync(parent).length, 3);
  for (const directory of taken) {
    assert.deepEqual(readdirSync(directory).sort(), ["layer", "upper", "work"]);
    for (const name of readdirSync(directory)) assert.deepEqual(readdirSync(join(directory, name)), []);
  }
});

test("who takes one is told why it cannot be made, not who prepares it", () => {
  const directories = makeRunDirectories("/proc/self/nowhere");
  directories.prepare();
  assert.throws(() => directories.take(), { code: "ENOENT" });
});
