import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { slipwayPath } from "../slipway.ts";
import { listCgroups } from "./list-cgroups.ts";
import { listDescendants, mountsWith, processesWith } from "./processes.ts";

/** How often something is killed at a random moment; the long form is for a machine of one's own. */
const ROUNDS = Number(process.env.SLIPWAY_KILL_ROUNDS ?? 12);

/** A command whose processes are found again by this text, wherever they went. */
const MARK = `4242${process.pid}`;
const STUBBORN = `trap '' INT TERM HUP; (setsid sleep ${MARK} &) ; sleep ${MARK} & nohup sleep ${MARK} & echo started; wait; sleep ${MARK}`;

describe("stopping a build", { skip: runMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
  });
  afterEach(() => bench[Symbol.dispose]());

  function start(dockerfile: string, args: readonly string[] = []) {
    const context = bench.context({ Dockerfile: dockerfile });
    const child = spawn(slipwayPath, ["--root", bench.root, "build", "--progress=plain", ...args, context]);
    const output = { text: "" };
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        output.text += text;
      });
    return { child, output, closed: once(child, "close") };
  }

  /** After the next start nothing is left: no process, mount, cgroup or work directory. */
  async function assertNothingLeft(child: ChildProcess): Promise<void> {
    const { code, stderr } = await bench.run(["images"]);
    assert.equal(code, 0, stderr);
    const next = await bench.build("FROM busybox\nRUN --network=none true", { args: ["--no-cache"] });
    assert.equal(next.code, 0, next.stderr);
    assert.deepEqual([...processesWith(MARK), ...processesWith(bench.root)], []);
    assert.deepEqual(mountsWith(bench.root), []);
    assert.deepEqual(
      listCgroups("/slipway").filter((path) => path.includes(`-${child.pid}-`)),
      [],
    );
    assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
  }

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it(`${signal}: the whole tree is dead within a second, and its log is kept`, async () => {
      const { child, output, closed } = start(`FROM busybox\nRUN ${STUBBORN}`);
      await until(() => processesWith(`sleep ${MARK}`).length >= 3);
      const before = Date.now();
      child.kill(signal);
      await until(() => processesWith(`sleep ${MARK}`).length === 0);
      const tookMs = Date.now() - before;
      assert.ok(tookMs < 1000, `it took ${tookMs} ms`);
      await closed;
      assert.notEqual(child.exitCode, 0);
      assert.match(output.text, /started/);
      await assertNothingLeft(child);
    });
  }

  it("--timeout: the whole tree is dead before slipway ends, and the message says why", async () => {
    const { child, output, closed } = start(`FROM busybox\nRUN ${STUBBORN}`, ["--timeout", "2s"]);
    await closed;
    assert.deepEqual(processesWith(`sleep ${MARK}`), []);
    assert.equal(child.exitCode, 1);
    assert.match(output.text, /started/);
    assert.match(output.text, /^Error: Stopped: it took longer than 2s$/m);
    await assertNothingLeft(child);
  });

  // Left alone, what they run would take more than an hour.
  it("a stage that fails stops the others, which are told as canceled", async () => {
    const { output, child, closed } = start(
      `FROM busybox AS slow
       RUN ${STUBBORN}
       FROM busybox AS failing
       RUN sleep 1; exit 3
       FROM busybox
       COPY --from=slow / /a
       COPY --from=failing / /b`,
    );
    await closed;
    assert.deepEqual(processesWith(`sleep ${MARK}`), []);
    assert.match(output.text, /^Error: Cannot run .*: it ended with exit code 3$/m);
    assert.match(output.text, /CANCELED/);
    await assertNothingLeft(child);
  });

  it("kill -9 of the runtime that waits for the next command: another one runs it", async () => {
    const { child, output, closed } = start(
      "FROM busybox\nRUN --network=none sleep 2\nRUN --network=none echo second",
    );
    await until(() => processesWith("sleep 2").length > 0);
    const findWaiting = () =>
      listDescendants(child.pid!).filter(
        ({ pid, command }) => isRuntime(command) && waitsForConfig(pid, command),
      );
    await until(() => findWaiting().length > 0);
    for (const { pid } of findWaiting()) process.kill(pid, "SIGKILL");
    await closed;
    assert.equal(child.exitCode, 0, output.text);
    assert.match(output.text, /second$/m);
    await assertNothingLeft(child);
  });

  it(`kill -9 of slipway, its holder or a runtime, at random moments, ${ROUNDS} rounds: nothing is left`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const kind = (["slipway", "holder", "runtime"] as const)[round % 3]!;
      const { child, closed, output } = start(
        `FROM busybox AS a
         RUN --mount=type=cache,target=/c,sharing=locked touch /c/x; ${STUBBORN}
         FROM busybox AS b
         RUN --network=none ${STUBBORN}
         FROM busybox
         COPY --from=a / /a
         COPY --from=b / /b`,
        ["--no-cache", "-m", "64m"],
      );
      await sleep(150 + Math.random() * 600);
      const victims = [...listDescendants(child.pid!), { pid: child.pid!, command: "", parent: 0 }].filter(
        ({ pid, command }) =>
          kind === "slipway"
            ? pid === child.pid
            : kind === "holder"
              ? command.includes("holder.js")
              : isRuntime(command) && !waitsForConfig(pid, command),
      );
      const victim = victims[Math.floor(Math.random() * victims.length)] ?? { pid: child.pid! };
      process.kill(victim.pid, "SIGKILL");
      const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await closed;
      clearTimeout(timer);
      assert.notEqual(child.exitCode, 0, output.text);
      assert.ok(
        child.exitCode !== null || victim.pid === child.pid,
        `slipway hung when ${kind} was killed:\n${output.text}`,
      );
      await until(() => processesWith(MARK).length === 0);
      await assertNothingLeft(child);
    }
  });
});

/** By its arguments, for crun starts itself again under another name. */
function isRuntime(command: string): boolean {
  return / run --bundle \S+ --pid-file /.test(command);
}

/** Whether a runtime waits for its turn: its config.json, in the holder's mount namespace, is still a FIFO. Nobody needs it yet. */
function waitsForConfig(pid: number, command: string): boolean {
  const bundle = / --bundle (\S+) /.exec(command)?.[1];
  try {
    return lstatSync(join(`/proc/${pid}/root`, bundle!, "config.json")).isFIFO();
  } catch {
    return false;
  }
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let round = 0; round < 500; round++) {
    if (isTrue()) return;
    await sleep(10);
  }
  assert.fail("it never became true");
}
