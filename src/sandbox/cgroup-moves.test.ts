import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runMissing } from "../../test/build-bench.ts";
import { CGROUP_ROOT } from "./cgroup-view.ts";

/** Prints its cgroups before and after, and the lists of processes that it has open. */
const SCRIPT = `
  import { readdirSync, readFileSync, readlinkSync } from "node:fs";
  import { setTimeout as sleep } from "node:timers/promises";
  import { makeCgroupMoves } from ${JSON.stringify(new URL("cgroup-moves.ts", import.meta.url).href)};
  const readOwn = () => readFileSync("/proc/self/cgroup", "utf8");
  const before = readOwn();
  const moves = makeCgroupMoves("v1");
  const names = readdirSync("/proc/self/fd").map((fd) => { try { return readlinkSync("/proc/self/fd/" + fd); } catch { return ""; } });
  for (let round = 0; round < 3; round++) { moves.begin(); moves.begin(); await sleep(50); }
  console.log(JSON.stringify({ before, after: readOwn(), lists: names.filter((name) => name.endsWith("cgroup.procs")) }));
`;

test("the process asks for the cgroup where it is, and stays there", { skip: runMissing }, (t) => {
  // The first hierarchy is the one that is used; the root of v2 has no name.
  const first = /^\d+:([^:]*):(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))!;
  const parent = join(CGROUP_ROOT, first[1]!.replace(/^name=/, ""), first[2]!);
  const own = join(existsSync(parent) ? parent : CGROUP_ROOT, `slipway-test-${process.pid}`);
  mkdirSync(own);
  t.after(() => rmdirSync(own));
  const shell = 'echo $$ > "$0/cgroup.procs" && exec "$@"';
  const node = [process.execPath, "--input-type=module", "--eval", SCRIPT];
  const { before, after, lists } = JSON.parse(
    execFileSync("sh", ["-c", shell, own, ...node], { encoding: "utf8" }),
  );
  assert.match(before, new RegExp(`slipway-test-${process.pid}$`, "m"));
  assert.equal(after, before);
  assert.deepEqual(lists, [join(own, "cgroup.procs")]);
});
