import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { runMissing } from "../../test/build-bench.ts";
import { makeCgroupMoves } from "./cgroup-moves.ts";

const readOwn = () => readFileSync("/proc/self/cgroup", "utf8");

test("leaves the process where it is", { skip: runMissing }, async () => {
  const before = readOwn();
  for (const version of ["v1", "v2", "none"] as const) {
    const moves = makeCgroupMoves(version);
    moves.begin();
    moves.begin();
    await sleep(50);
    moves.begin();
  }
  await sleep(50);
  assert.equal(readOwn(), before);
});
