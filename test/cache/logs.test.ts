import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { listBuildSteps, listBuilds, readStepLog } from "../../src/store/builds.ts";
import { openLiveLogReader } from "../../src/store/live-log.ts";
import { openStore } from "../../src/store/open-store.ts";
import { openBuildBench, runMissing } from "../build-bench.ts";
import { slipwayPath } from "../slipway.ts";

const skip = runMissing;

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries++) {
    assert.ok(tries < 400, "it took too long");
    await sleep(50);
  }
}

test("others see a build that runs, what it runs and prints; then what came of it, also when it failed or was killed", {
  skip,
  timeout: 60_000,
}, async () => {
  using bench = await openBuildBench();
  const start = (last: string) => {
    const directory = bench.context({
      Dockerfile: `FROM busybox\nRUN echo quick\nRUN echo begun ${last}; ${last}\n`,
    });
    const child = spawn(slipwayPath, ["--root", bench.root, "build", "--progress=plain", directory], {
      stdio: "ignore",
    });
    return { child, ended: once(child, "close") };
  };
  await using store = openStore(bench.root);
  const logOf = (buildId: string, name: RegExp) => {
    const step = listBuildSteps(store, buildId).find((one) => name.test(one.name))!;
    return {
      step,
      text: readStepLog(store, buildId, step)
        .map(({ data }) => String(data))
        .join(""),
    };
  };

  const failing = start("sleep 60");
  await until(() => listBuilds(store)[0]?.outcome === "running");
  const [build] = listBuilds(store);
  await until(() => listBuildSteps(store, build!.id).some(({ name }) => name.includes("begun")));
  const { key, outcome, started } = listBuildSteps(store, build!.id).find(({ name }) =>
    name.includes("begun"),
  )!;
  assert.deepEqual([outcome, typeof started], ["running", "number"]);
  await until(() => openLiveLogReader(store, { leaseId: build!.leaseId, key }) !== undefined);
  using reader = openLiveLogReader(store, { leaseId: build!.leaseId, key })!;
  let live = "";
  await until(() => {
    live += reader
      .read()
      .map(({ data }) => String(data))
      .join("");
    return live !== "";
  });
  assert.equal(live, "begun sleep 60\n");
  failing.child.kill("SIGKILL");
  await failing.ended;
  assert.equal(listBuilds(store)[0]!.outcome, "killed");
  assert.equal(listBuilds(store)[0]!.ended, null);

  const { code } = await bench.build("FROM busybox\nRUN echo quick\nRUN echo told >&2; exit 3\n");
  assert.equal(code, 1);
  const [failed] = listBuilds(store);
  assert.equal(failed!.outcome, "failed");
  assert.ok(failed!.ended! >= failed!.created);
  assert.deepEqual(
    [logOf(failed!.id, /told/).step.outcome, logOf(failed!.id, /told/).text],
    ["failed", "told\n"],
  );
  const quick = logOf(failed!.id, /quick/);
  assert.deepEqual([quick.step.outcome, quick.text], ["hit", "quick\n"]);
  assert.ok(quick.step.ended! >= quick.step.started!);
});
