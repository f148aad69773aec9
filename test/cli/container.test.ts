import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runCommand, runSlipway, slipway, slipwayPath } from "../slipway.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-container-"));
const root = join(work, "store");
after(() => rmSync(work, { recursive: true, force: true }));
const run = (...args: readonly string[]) => slipway(args, { root, cwd: work });
const fail = async (...args: readonly string[]) => {
  const { code, stderr } = await runSlipway(args, { root, cwd: work });
  assert.equal(code, 1, `${args.join(" ")} did not fail`);
  return stderr;
};
/** A directory of its own to copy into. */
const makeTarget = () => mkdtempSync(join(work, "target-"));

const MTIME = 1_234_567_890;

before(async () => {
  const tree = join(work, "tree");
  mkdirSync(join(tree, "data/sub"), { recursive: true, mode: 0o755 });
  writeFileSync(join(tree, "data/file"), "content");
  writeFileSync(join(tree, "data/empty"), "");
  writeFileSync(join(tree, "data/sub/deep"), "deep");
  execFileSync("chmod", ["4751", join(tree, "data/file")]);
  execFileSync("chmod", ["0700", join(tree, "data/sub")]);
  execFileSync("ln", [join(tree, "data/file"), join(tree, "data/sub/hard")]);
  execFileSync("mkfifo", [join(tree, "data/fifo")]);
  symlinkSync("file", join(tree, "data/link"));
  symlinkSync("/data/sub", join(tree, "way"));
  for (const path of ["data/file", "data/sub/deep", "data/sub", "data"])
    utimesSync(join(tree, path), MTIME, MTIME);
  const tar = join(work, "tree.tar");
  execFileSync("tar", ["-c", "-f", tar, "--owner=7", "--group=8", "-C", tree, "."]);
  await run("import", tar, "tree");
  await run("container", "create", "--name", "box", "tree", "some", "--command");
});

test("create prints an id of 64 digits, under which and under whose name it is found", async () => {
  const id = (await run("create", "--name", "other", "tree")).stdout.trim();
  assert.match(id, /^[0-9a-f]{64}$/);
  const rows = (await run("container", "ls", "--format", "json")).stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const { ID, Names, Image } = rows.find((row) => row.Names === "other");
  assert.deepEqual([ID, Names, Image], [id.slice(0, 12), "other", "tree:latest"]);
  assert.match((await run("ps", "-a")).stdout, /^CONTAINER ID {3}IMAGE {9}CREATED .* STATUS {4}NAMES\n/);
  const table = await run("ps", "--format", "table {{.Names}}\\t{{upper .State}}");
  assert.match(table.stdout, /^NAMES {5}STATE\n(.*\n)?other {5}CREATED\n/);
  assert.equal((await run("container", "rm", id.slice(0, 12))).stdout, `${id.slice(0, 12)}\n`);
  assert.doesNotMatch((await run("ps")).stdout, /other/);
});

test("create refuses a name that is taken, and one that is no name", async () => {
  assert.match(await fail("create", "--name", "box", "tree"), /there is one of that name\n\nHint: .*rm box/);
  assert.match(await fail("create", "--name", "a b", "tree"), /Cannot call a container "a b"/);
});

test("rm refuses what is not there, unless forced", async () => {
  assert.match(
    await fail("container", "rm", "bxo"),
    /Cannot find the container "bxo".*\n\nHint: Did you mean "box"\?/,
  );
  assert.deepEqual(await run("rm", "-f", "nothing"), { code: 0, stdout: "", stderr: "" });
});

test("cp of a file: to a new name, over a file, into a directory", async () => {
  const target = makeTarget();
  await run("container", "cp", "box:/data/file", join(target, "new"));
  assert.equal(readFileSync(join(target, "new"), "utf8"), "content");
  const { mode, mtimeMs, uid } = statSync(join(target, "new"));
  assert.deepEqual([mode & 0o7777, mtimeMs, uid], [0o4751, MTIME * 1000, process.getuid!()]);

  writeFileSync(join(target, "old"), "something longer than that");
  await run("cp", "box:data/file", join(target, "old"));
  assert.equal(readFileSync(join(target, "old"), "utf8"), "content");

  await run("cp", "box:/data/file", target);
  assert.equal(readFileSync(join(target, "file"), "utf8"), "content");
  await run("cp", "box:/data/empty", `${target}/`);
  assert.equal(readFileSync(join(target, "empty"), "utf8"), "");
  assert.match(await fail("cp", "box:/data/file", join(target, "none/")), /there is no such directory/);
  assert.match(await fail("cp", "box:/data/file", join(target, "none/x")), /there is no directory/);
});

test("cp of a directory: as a new one, into one that is there, or what it holds", async () => {
  const target = makeTarget();
  const names = ["empty", "fifo", "file", "link", "sub"];
  await run("cp", "box:/data", join(target, "new"));
  assert.deepEqual(readdirSync(join(target, "new")).sort(), names);
  assert.equal(readlinkSync(join(target, "new/link")), "file");
  assert.ok(lstatSync(join(target, "new/fifo")).isFIFO());
  assert.equal(statSync(join(target, "new/file")).ino, statSync(join(target, "new/sub/hard")).ino);
  const { mode, mtimeMs } = statSync(join(target, "new/sub"));
  assert.deepEqual([mode & 0o7777, mtimeMs], [0o700, MTIME * 1000]);

  await run("cp", "box:/data", target);
  assert.deepEqual(readdirSync(join(target, "data")).sort(), names);
  const inner = makeTarget();
  await run("cp", "box:/data/.", inner);
  assert.deepEqual(readdirSync(inner).sort(), names);
  writeFileSync(join(target, "plain"), "");
  assert.match(
    await fail("cp", "box:/data", join(target, "plain")),
    /it is a file, and the source is a directory/,
  );
});

test("cp keeps a link, follows one on the way, and with -L the last one too", async () => {
  const target = makeTarget();
  await run("cp", "box:/data/link", target);
  assert.equal(readlinkSync(join(target, "link")), "file");
  await run("cp", "-L", "box:/data/link", join(target, "followed"));
  assert.equal(readFileSync(join(target, "followed"), "utf8"), "content");
  await run("cp", "box:/way/deep", target);
  assert.equal(readFileSync(join(target, "deep"), "utf8"), "deep");
  await run("cp", "box:/way/", join(target, "way"));
  assert.equal(readFileSync(join(target, "way/deep"), "utf8"), "deep");
});

test("cp replaces a link in the way instead of writing through it", async () => {
  const target = makeTarget();
  const outside = makeTarget();
  writeFileSync(join(outside, "victim"), "untouched");
  mkdirSync(join(target, "data"));
  symlinkSync(outside, join(target, "data/sub"));
  symlinkSync(join(outside, "victim"), join(target, "data/file"));
  await run("cp", "box:/data", target);
  assert.deepEqual(readdirSync(outside), ["victim"]);
  assert.equal(readFileSync(join(outside, "victim"), "utf8"), "untouched");
  assert.ok(lstatSync(join(target, "data/sub")).isDirectory());
});

test("cp -a keeps owners", { skip: process.getuid?.() !== 0 && "needs root" }, async () => {
  const target = makeTarget();
  await run("cp", "-a", "box:/data/file", target);
  const { uid, gid, mode } = statSync(join(target, "file"));
  assert.deepEqual([uid, gid, mode & 0o7777], [7, 8, 0o4751]);
});

test("cp to - writes a tar of the source under its own name", async () => {
  const list = async (source: string) =>
    (await runCommand("sh", ["-c", `"$0" --root "$1" cp "$2" - | tar -tv`, slipwayPath, root, source])).stdout
      .trim()
      .split("\n")
      .map((line) => line.replace(/ +/g, " ").split(" "))
      .map(([mode, owner, , , , ...name]) => `${mode} ${owner} ${name.join(" ")}`);
  assert.deepEqual(await list("box:/data/file"), ["-rwsr-x--x 7/8 file"]);
  assert.deepEqual(await list("box:/data"), [
    "drwxr-xr-x 7/8 data/",
    "-rw-r--r-- 7/8 data/empty",
    "prw-r--r-- 7/8 data/fifo",
    "-rwsr-x--x 7/8 data/file",
    "lrwxrwxrwx 7/8 data/link -> file",
    "drwx------ 7/8 data/sub/",
    "-rw-r--r-- 7/8 data/sub/deep",
    "hrwsr-x--x 7/8 data/sub/hard link to data/file",
  ]);
});

test("cp says what is wrong with its arguments", async () => {
  assert.match(await fail("cp", "box:/nope", work), /Cannot find "\/nope" in "box"/);
  assert.match(
    await fail("cp", "bix:/data", work),
    /Cannot find the container "bix".*\n\nHint: Did you mean "box"/,
  );
  assert.match(await fail("cp", join(work, "tree.tar"), "box:/x"), /only copies out of containers/);
  assert.match(await fail("cp", "x", "y"), /Cannot copy from "x": it is not CONTAINER:PATH/);
  assert.ok(!existsSync(join(work, "nope")));
});
