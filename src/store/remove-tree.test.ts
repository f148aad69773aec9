import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { removeTree } from "./remove-tree.ts";

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "remove-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test("removeTree() removes directories of more files than it reads at a time, and follows no link", async (t) => {
  const at = temporary(t);
  const outside = join(at, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "kept"), "");
  const tree = join(at, "tree");
  for (const directory of ["", "many", "many/below", "empty"]) mkdirSync(join(tree, directory));
  for (let file = 0; file < 300; file++) {
    writeFileSync(join(tree, "many", `file-${file}`), "");
    writeFileSync(join(tree, "many/below", `file-${file}`), "");
  }
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe])]), "");
  symlinkSync(outside, join(tree, "link"));
  symlinkSync("nowhere", join(tree, "dangling"));
  execFileSync("mkfifo", [join(tree, "fifo")]);
  await removeTree(tree);
  assert.deepEqual(readdirSync(at), ["outside"]);
  assert.deepEqual(readdirSync(outside), ["kept"]);
});

test("removeTree() removes a single file or link, and does nothing where nothing is", async (t) => {
  const at = temporary(t);
  writeFileSync(join(at, "file"), "");
  symlinkSync(at, join(at, "link"));
  for (const name of ["file", "link", "absent", "absent/below"]) await removeTree(join(at, name));
  assert.deepEqual(readdirSync(at), []);
});

test("removeTree() removes a large file, which goes by another thread, beside small ones", async (t) => {
  const at = temporary(t);
  mkdirSync(join(at, "tree"));
  for (const name of ["a", "large", "z"]) writeFileSync(join(at, "tree", name), "");
  truncateSync(join(at, "tree/large"), (16 << 20) + 1);
  await removeTree(join(at, "tree"));
  assert.deepEqual(readdirSync(at), []);
});

test("removeTree() removes what lies deeper than a path can be long", async (t) => {
  const at = temporary(t);
  const name = "d".repeat(250);
  const program = 'for (1 .. 20) { mkdir $ARGV[0] or die; chdir $ARGV[0] or die } open F, ">", "file" or die';
  execFileSync("perl", ["-e", program, name], { cwd: at });
  await removeTree(join(at, name));
  assert.deepEqual(readdirSync(at), []);
});

test("removeTree() tells the reason for what cannot be removed", async () => {
  await assert.rejects(removeTree("/proc/self/status"), { code: "EPERM", syscall: "unlink" });
});

test("removeTree() of one tree by several at once removes it", async (t) => {
  const tree = join(temporary(t), "tree");
  for (let n = 0; n < 40; n++) {
    mkdirSync(join(tree, `${n}/below`), { recursive: true });
    for (let file = 0; file < 10; file++) writeFileSync(join(tree, `${n}/below/${file}`), "");
  }
  await Promise.all(Array.from({ length: 4 }, () => removeTree(tree)));
  assert.equal(existsSync(tree), false);
});
