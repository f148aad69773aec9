import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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

test("what a command gave back is the next one's, as new; not when something is left in it", (t) => {
  const parent = mkdtempSync(join(tmpdir(), "run-directories-"));
  t.after(() => rmSync(parent, { recursive: true, force: true }));
  const directories = makeRunDirectories(parent);
  const use = (directory: string) => {
    for (const name of ["upper", "layer"]) rmSync(join(directory, name), { recursive: true });
    // As Linux 6 leaves it.
    mkdirSync(join(directory, "work/work/incompat/volatile"), { recursive: true });
    writeFileSync(join(directory, "work/work/incompat/volatile/dirty"), "");
  };
  const first = directories.take();
  use(first);
  directories.giveBack(first);
  directories.prepare();
  const second = directories.take();
  assert.equal(second, first);
  assert.deepEqual(readdirSync(second).sort(), ["layer", "upper", "work"]);
  for (const name of readdirSync(second)) assert.deepEqual(readdirSync(join(second, name)), []);
  use(second);
  writeFileSync(join(second, "work/work/more"), "");
  directories.giveBack(second);
  directories.prepare();
  const third = directories.take();
  assert.notEqual(third, first);
  for (const name of readdirSync(third)) assert.deepEqual(readdirSync(join(third, name)), []);
});

test("who takes one is told why it cannot be made, not who prepares it", () => {
  const directories = makeRunDirectories("/proc/self/nowhere");
  directories.prepare();
  assert.throws(() => directories.take(), { code: "ENOENT" });
});
