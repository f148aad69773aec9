import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { slipwayPath } from "../slipway.ts";

describe("builds that are remembered", { skip: runMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
  });
  afterEach(() => bench[Symbol.dispose]());

  const build = (dockerfile: string) => bench.run(["build", "-q", bench.context({ Dockerfile: dockerfile })]);

  test("ls, show, logs and rm of builds that went well and that failed", async () => {
    const good = "FROM busybox\nRUN echo hello from the step\n";
    await build(good);
    await build(good);
    assert.equal((await build("FROM busybox\nRUN echo going down; exit 3\n")).code, 1);
    const list = async () => {
      const { stdout } = await bench.run(["history", "ls", "--format", "json"]);
      return stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line));
    };
    const [failed, again, first] = await list();
    assert.deepEqual([failed.Outcome, again.Outcome, first.Outcome], ["failed", "done", "done"]);
    assert.ok(again.CachedCount === again.StepCount && first.CachedCount < first.StepCount);
    assert.match(
      (await bench.run(["logs", first.ID])).stdout,
      /^#\d+ .*RUN echo hello from the step\n#\d+ hello from the step\n$/,
    );
    assert.match((await bench.run(["buildx", "history", "logs"])).stdout, /^#\d+ going down$/m);
    const shown = JSON.parse((await bench.run(["history", "show", first.ID, "--format", "json"])).stdout);
    const run = shown.Steps.at(-1);
    assert.equal(run.Outcome, "miss");
    assert.match(run.Key, /^sha256:[0-9a-f]{64}$/);
    assert.ok(Date.parse(run.EndedAt) >= Date.parse(run.StartedAt));
    assert.match(
      (await bench.run(["history", "show", again.ID])).stdout,
      /cached +[0-9a-f]{8} +RUN echo hello/,
    );
    assert.equal((await bench.run(["history", "rm", first.ID.slice(0, 8)])).stdout, `${first.ID}\n`);
    assert.equal((await list()).length, 2);
    await bench.run(["history", "rm", "--all"]);
    assert.deepEqual(await list(), []);
    assert.match(
      (await bench.run(["history", "show", "abc"])).stderr,
      /^Error: Cannot find the build "abc": no such build/,
    );
  });

  test("logs --follow shows a build that runs, and ends with it", async () => {
    const directory = bench.context({ Dockerfile: "FROM busybox\nRUN echo begun; sleep 3; echo ended\n" });
    const building = bench.run(["build", "-q", directory]);
    const isRunning = async () => (await bench.run(["history", "ls"])).stdout.includes("running");
    for (let tries = 0; !(await isRunning()); tries++) assert.ok(tries < 100, "the build never ran");
    const following = spawn(slipwayPath, ["logs", "--follow"], {
      env: { ...process.env, SLIPWAY_ROOT: bench.root },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    let wasLive = false;
    let isBuilding = true;
    void building.then(() => {
      isBuilding = false;
    });
    following.stdout.on("data", (data) => {
      text += data;
      wasLive ||= isBuilding && text.includes("begun");
    });
    const [code] = await once(following, "close");
    assert.equal((await building).code, 0);
    assert.equal(code, 0);
    assert.match(text, /^#\d+ .*RUN echo begun.*\n#\d+ begun\n#\d+ ended\n$/);
    assert.ok(wasLive, "the first line came while the build ran");
  });
});
