import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

/**
 * Stands for the holder, pid 1 of a namespace: `runtime` is a process with a child in a pid namespace of its own. It is killed, and what
 * it leaves behind becomes the holder's.
 */
const HOLDER = `
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { killOrphans } from ${JSON.stringify(join(import.meta.dirname, "kill-orphans.ts"))};

const parentOf = (pid) => {
  try {
    const stat = readFileSync("/proc/" + pid + "/stat", "latin1");
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? undefined : Number(parent);
  } catch {
    return undefined;
  }
};
const until = async (isTrue) => {
  while (!isTrue()) await sleep(10);
};
const other = spawn("sleep", ["1000"]);
const runtime = spawn("unshare", ["--pid", "--fork", "sh", "-c", "echo ready; exec sleep 1000"]);
await once(runtime.stdout, "data");
const children = readFileSync("/proc/" + runtime.pid + "/task/" + runtime.pid + "/children", "utf8");
const container = Number(children.trim());
killOrphans();
const before = [parentOf(container), parentOf(other.pid)];
runtime.kill("SIGKILL");
await until(() => parentOf(container) === process.pid);
killOrphans();
await until(() => parentOf(container) === undefined);
console.log(JSON.stringify({ pid: process.pid, runtime: runtime.pid, before, other: parentOf(other.pid) }));
process.exit();
`;

test("what a killed runtime left behind is ended, and nothing else", {
  skip: process.getuid?.() !== 0 && "needs root",
}, () => {
  const args = ["--pid", "--fork", "--mount-proc", process.execPath, "--input-type=module", "-e", HOLDER];
  const told = JSON.parse(
    execFileSync("unshare", args, { encoding: "utf8", timeout: 30_000, killSignal: "SIGKILL" }),
  );
  assert.equal(told.pid, 1);
  // While its runtime lives, a container is the runtime's.
  assert.deepEqual(told.before, [told.runtime, 1]);
  assert.equal(told.other, 1);
});
