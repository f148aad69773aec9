import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type MemberLike, makeLayer, makeTemporaryDirectory } from "../../test/make-layers.ts";
import type { ExportedTree } from "./exported-trees.ts";
import { writeTreeTar } from "./tree-tar.ts";
import { writeTreeDirectory } from "./write-tree-directory.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
const link = (name: string, linkName: string): MemberLike => ({
  name,
  type: "symlink",
  linkName,
  mode: 0o777,
});

async function makeTree(
  directory: string,
  layers: readonly (readonly MemberLike[])[],
  about: Partial<ExportedTree> = {},
): Promise<ExportedTree> {
  const made = [];
  for (const members of layers) made.push(await makeLayer(join(directory, "layers"), members));
  return { layers: made, label: "linux/amd64", directory: "", ...about };
}

test("writeTreeDirectory() writes modes, times and links, and gives everything to the caller", async (t) => {
  const at = makeTemporaryDirectory(t);
  const tree = await makeTree(at, [
    [{ name: "d/", mode: 0o751 }, { name: "d/gone" }, { name: "old", content: "below" }],
    [
      { name: "d/", mode: 0o550, mtime: 77 },
      { name: "d/.wh.gone" },
      { name: "d/f", content: "x".repeat(300_000), mode: 0o4755, uid: 7, gid: 8, mtime: 99 },
      { name: "hard", type: "hardlink", linkName: "d/f" },
      { ...link("d/s", "../nowhere"), mtime: 88 },
      { name: "n\xff", content: "n" },
    ],
  ]);
  const out = join(at, "out");
  const before = process.umask(0o077);
  t.after(() => process.umask(before));
  const told: number[] = [];
  writeTreeDirectory({ trees: [tree], directory: out }, { onProgress: (doneBytes) => told.push(doneBytes) });
  // Bytes of an inode are written once, and told piece by piece.
  assert.ok(told.length > 3);
  assert.equal(told.at(-1), 300_006);
  assert.deepEqual(readdirSync(out, { encoding: "latin1" }).sort(), ["d", "hard", "n\xff", "old"]);
  assert.deepEqual(readdirSync(join(out, "d")), ["f", "s"]);
  const file = lstatSync(join(out, "d/f"));
  assert.equal(file.mode & 0o7777, 0o4755);
  assert.equal(file.mtimeMs, 99_000);
  assert.equal(file.size, 300_000);
  assert.equal(file.uid, process.getuid!());
  assert.equal(file.ino, lstatSync(join(out, "hard")).ino);
  assert.equal(lstatSync(join(out, "d")).mode & 0o7777, 0o550);
  assert.equal(lstatSync(join(out, "d")).mtimeMs, 77_000);
  assert.equal(readlinkSync(join(out, "d/s")), "../nowhere");
  assert.equal(lstatSync(join(out, "d/s")).mtimeMs, 88_000);
  // A second time over what is there, with one time for all.
  writeTreeDirectory({ trees: [tree], directory: out, mtime: 5 });
  assert.equal(lstatSync(join(out, "d")).mtimeMs, 5000);
  assert.equal(lstatSync(join(out, "hard")).mtimeMs, 5000);
  assert.equal(lstatSync(join(out, "d/f")).ino, lstatSync(join(out, "hard")).ino);
  assert.ok(!readdirSync(out).some((name) => name.endsWith(".tmp")));
});

test("writeTreeDirectory() never leaves its directory through a symlink that lies there", async (t) => {
  const at = makeTemporaryDirectory(t);
  const tree = await makeTree(at, [
    [{ name: "etc/" }, { name: "etc/passwd", content: "new" }, { name: "f", content: "f" }],
  ]);
  const outside = join(at, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "passwd"), "precious");
  const out = join(at, "out");
  mkdirSync(out);
  symlinkSync(outside, join(out, "etc"));
  symlinkSync(join(outside, "passwd"), join(out, "f"));
  writeTreeDirectory({ trees: [tree], directory: out, deleteOthers: true });
  assert.equal(readFileSync(join(outside, "passwd"), "utf8"), "precious");
  assert.equal(readFileSync(join(out, "etc/passwd"), "utf8"), "new");
  assert.equal(readFileSync(join(out, "f"), "utf8"), "f");
});

test("writeTreeDirectory() keeps what was there, or deletes it and nothing behind its links", async (t) => {
  const at = makeTemporaryDirectory(t);
  const tree = await makeTree(at, [[{ name: "a/" }, { name: "a/f" }, { name: "b" }]]);
  const out = join(at, "out");
  mkdirSync(join(out, "a/sub"), { recursive: true });
  mkdirSync(join(out, "b"));
  mkdirSync(join(at, "outside"));
  writeFileSync(join(at, "outside/f"), "");
  symlinkSync(join(at, "outside"), join(out, "a/link"));
  chmodSync(join(out, "a"), 0o500);
  writeTreeDirectory({ trees: [tree], directory: out });
  assert.deepEqual(readdirSync(join(out, "a")), ["f", "link", "sub"]);
  assert.ok(lstatSync(join(out, "b")).isFile());
  writeTreeDirectory({ trees: [tree], directory: out, deleteOthers: true });
  assert.deepEqual(readdirSync(join(out, "a")), ["f"]);
  assert.ok(existsSync(join(at, "outside/f")));
});

test("several trees go into directories of their own, or into one where they do not disagree", async (t) => {
  const at = makeTemporaryDirectory(t);
  const members = [{ name: "bin/" }, { name: "bin/tool", content: "x" }];
  const amd = await makeTree(at, [members], { directory: "linux_amd64" });
  const arm = await makeTree(at, [members], { directory: "linux_arm64", label: "linux/arm64" });
  const out = join(at, "out");
  writeTreeDirectory({ trees: [amd, arm], directory: out, deleteOthers: true });
  assert.deepEqual(readdirSync(out), ["linux_amd64", "linux_arm64"]);
  assert.equal(readFileSync(join(out, "linux_arm64/bin/tool"), "utf8"), "x");
  const merged = [amd, arm].map((tree) => ({ ...tree, directory: "" }));
  assert.throws(() => writeTreeDirectory({ trees: merged, directory: join(at, "merged") }), {
    code: "output-failed",
    message:
      'Cannot overwrite "/bin/tool" from linux/amd64 with linux/arm64: platform-split is off, and both have it',
  });
  const other = await makeTree(at, [[{ name: "bin/" }, { name: "bin/other" }]]);
  const tarPath = join(at, "t.tar");
  writeTreeTar({ trees: [merged[0]!, other], tarPath });
  const list = execFileSync("tar", ["-tf", tarPath], { encoding: "utf8" });
  assert.equal(list, "bin/\nbin/tool\nbin/other\n");
});

test("writeTreeTar() keeps owners, links, attributes; GNU tar reads it", {
  skip: !isRoot && "needs root",
}, async (t) => {
  const at = makeTemporaryDirectory(t);
  const tree = await makeTree(at, [
    [
      { name: "d/", mode: 0o2750, uid: 5, gid: 6, mtime: 77 },
      {
        name: "d/f",
        uid: 70_000,
        gid: 8,
        mode: 0o6755,
        content: "hello",
        xattrs: { "user.k": Buffer.from("v") },
      },
      { name: "e", type: "hardlink", linkName: "d/f" },
      link("s", "d"),
      { name: "p", type: "fifo" },
      { name: "null", type: "char", deviceMajor: 1, deviceMinor: 3 },
    ],
  ]);
  const tarPath = join(at, "t.tar");
  writeTreeTar({ trees: [tree], tarPath, mtime: 1_700_000_000 });
  const list = execFileSync("tar", ["--numeric-owner", "--utc", "--full-time", "-tvf", tarPath], {
    encoding: "utf8",
  });
  assert.deepEqual(
    list
      .trim()
      .split("\n")
      .map((line) => line.replace(/\s+/g, " ")),
    [
      "drwxr-s--- 5/6 0 2023-11-14 22:13:20 d/",
      "-rwsr-sr-x 70000/8 5 2023-11-14 22:13:20 d/f",
      "hrwsr-sr-x 70000/8 0 2023-11-14 22:13:20 e link to d/f",
      "crw-r--r-- 0/0 1,3 2023-11-14 22:13:20 null",
      "prw-r--r-- 0/0 0 2023-11-14 22:13:20 p",
      "lrwxrwxrwx 0/0 0 2023-11-14 22:13:20 s -> d",
    ],
  );
  assert.match(readFileSync(tarPath, "latin1"), /SCHILY\.xattr\.user\.k=v\n/);
});
