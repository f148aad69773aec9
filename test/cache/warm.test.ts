import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { runCommand, slipwayPath } from "../slipway.ts";

const bench: BuildBench = await openBuildBench();
after(() => bench[Symbol.dispose]());

const skip = runMissing || (!existsSync("/usr/bin/strace") && "needs strace");

test("a build that is cached opens no file of its context, none of a layer, and waits for no disk", {
  skip,
}, async () => {
  const directory = bench.context({
    Dockerfile:
      "FROM busybox AS builder\nCOPY src /src\nRUN cp /src/a /out\nFROM busybox\nCOPY --from=builder /out /\n",
    "src/a": "a",
    "src/b": "b",
  });
  await sleep(150);
  const args = ["--root", bench.root, "build", "--progress=plain", "-t", "warm", directory];
  const log = join(bench.directory, "trace");
  const openedBy = async () => {
    const traced = [
      "-f",
      "-qq",
      "-y",
      "-e",
      "trace=open,openat,fsync,fdatasync,syncfs",
      "-o",
      log,
      slipwayPath,
      ...args,
    ];
    const { code, stderr } = await runCommand("strace", traced);
    assert.equal(code, 0, stderr);
    const opened = globSync(`${log}*`)
      .map((path) => readFileSync(path, "utf8"))
      .join("\n");
    return { stderr, opened };
  };
  const first = await openedBy();
  assert.ok(first.opened.includes("/src/a"), "the trace shows what is read");
  assert.match(first.opened, /sync\(/, "and what is waited for");
  const { stderr, opened } = await openedBy();
  assert.equal(stderr.match(/CACHED/g)?.length, 3, stderr);
  const content = opened
    .split("\n")
    .filter((line) => /"[^"]*\/(?:src\/[ab]|(?:layers|m|indexes)\/[^"]+)"/.test(line));
  assert.deepEqual(content, []);
  assert.doesNotMatch(opened, /sync\(/);
});
