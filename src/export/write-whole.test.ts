import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { writeWhole } from "./write-whole.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-whole-"));
after(() => rmSync(work, { recursive: true, force: true }));

test("writeWhole() leaves what was there when the write fails, and nothing else", async () => {
  const path = join(work, "file");
  writeFileSync(path, "before");
  await assert.rejects(
    writeWhole(path, async (temporary) => {
      await writeFile(temporary, "half");
      throw new Error("no more");
    }),
    /no more/,
  );
  assert.equal(readFileSync(path, "utf8"), "before");
  assert.deepEqual(readdirSync(work), ["file"]);
  await writeWhole(path, (temporary) => writeFile(temporary, "after"));
  assert.equal(readFileSync(path, "utf8"), "after");
});

test("writeWhole() writes into a pipe or a device, and puts no file in its place", async () => {
  const pipe = join(work, "pipe");
  execFileSync("mkfifo", [pipe]);
  const read = readFile(pipe, "utf8");
  await writeWhole(pipe, (path) => writeFile(path, "through"));
  assert.equal(await read, "through");
  assert.ok(statSync(pipe).isFIFO());
  await writeWhole("/dev/null", (path) => writeFile(path, "gone"));
  assert.ok(statSync("/dev/null").isCharacterDevice());
});

test("writeWhole() says why a file cannot be written", async () => {
  mkdirSync(join(work, "directory"));
  writeFileSync(join(work, "plain"), "");
  for (const [path, why] of [
    ["none/file", "there is no such directory"],
    ["plain/file", "a part of the path is no directory"],
    ["directory", "it is a directory"],
    ["/dev/full", "no space is left on the file system"],
  ] as const) {
    const full = path.startsWith("/") ? path : join(work, path);
    await assert.rejects(
      writeWhole(full, (temporary) => writeFile(temporary, "x")),
      { code: "output-failed", message: `Cannot write "${full}": ${why}` },
    );
  }
});
