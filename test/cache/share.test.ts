import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { slipwayPath } from "../slipway.ts";

const skip = runMissing;
const bench: BuildBench = await openBuildBench();
after(() => bench[Symbol.dispose]());

/** A step that counts how often it runs, in a cache mount, and waits until `go` is there. */
function slowDockerfile(id: string): string {
  return `FROM busybox
RUN --mount=type=cache,id=${id},target=/c echo run >> /c/runs; echo begun; \\
  until [ -e /c/go ]; do sleep 0.05; done; echo ended; head -c 8 /dev/urandom | od > /random\n`;
}

/** The cache mount's directory that has a file. */
async function waitForFile(name: string): Promise<string> {
  const parent = join(bench.root, "cache-mounts");
  for (;;) {
    if (existsSync(parent)) {
      const { globSync } = await import("node:fs");
      const [found] = globSync(join(parent, "*", name));
      if (found !== undefined) return join(found, "..");
    }
    await sleep(20);
  }
}

interface Started {
  readonly child: ChildProcess;
  /** What it has told so far. */
  readonly text: () => string;
  readonly ended: Promise<{ readonly code: number | null; readonly text: string }>;
}

function start(directory: string): Started {
  const args = [
    "--root",
    bench.root,
    "build",
    "--progress=plain",
    "-t",
    `shared-${Math.random()}`,
    directory,
  ];
  const child = spawn(slipwayPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, text }));
  return { child, text: () => text, ended };
}

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries++) {
    assert.ok(tries < 400, "it took too long");
    await sleep(50);
  }
}

test("two builds of one step run it once, and both tell what it printed", {
  skip,
  timeout: 60_000,
}, async () => {
  const directory = bench.context({ Dockerfile: slowDockerfile("once") });
  const builds = [start(directory), start(directory)];
  const cache = await waitForFile("runs");
  // The one that waits sees it at once, not when all is over.
  await until(() => builds.every(({ text }) => /\d begun\n/.test(text())));
  assert.ok(builds.every(({ text }) => !/\d ended\n/.test(text())));
  mkdirSync(join(cache, "go"));
  const results = await Promise.all(builds.map(({ ended }) => ended));
  for (const { code, text } of results) {
    assert.equal(code, 0, text);
    assert.equal(text.match(/\d begun\n/g)?.length, 1, text);
    assert.equal(text.match(/\d ended\n/g)?.length, 1, text);
  }
  assert.equal(readFileSync(join(cache, "runs"), "utf8"), "run\n");
  assert.equal(results.filter(({ text }) => text.includes("CACHED")).length, 1);
  rmSync(cache, { recursive: true });
});

test("when the build that runs a step is killed, the one that waits runs it", {
  skip,
  timeout: 60_000,
}, async () => {
  const directory = bench.context({ Dockerfile: slowDockerfile("killed") });
  const first = start(directory);
  const cache = await waitForFile("runs");
  const second = start(directory);
  await until(() => /\d begun\n/.test(second.text()));
  first.child.kill("SIGKILL");
  await first.ended;
  await until(() => readFileSync(join(cache, "runs"), "utf8") === "run\nrun\n");
  mkdirSync(join(cache, "go"));
  const { code, text } = await second.ended;
  assert.equal(code, 0, text);
  assert.match(text, /Note: .*RUN .*: the build that ran this step has no result, so it runs here\n/);
  assert.match(text, /\d ended\n/);
  assert.equal(readFileSync(join(cache, "runs"), "utf8"), "run\nrun\n");
  rmSync(cache, { recursive: true });
});

test("locked cache mounts in another order, or mounted twice, make nobody wait for ever", {
  skip,
  timeout: 60_000,
}, async () => {
  const mount = (id: string, target = id) => `--mount=type=cache,id=${id},target=/${target},sharing=locked`;
  const run = (n: number, ...mounts: readonly string[]) =>
    start(bench.context({ Dockerfile: `FROM busybox\nRUN ${mounts.join(" ")} sleep 0.2; echo ${n}\n` }));
  const builds = Array.from({ length: 6 }, (_, n) =>
    n % 2 === 0 ? run(n, mount("x"), mount("y"), mount("x", "twice")) : run(n, mount("y"), mount("x")),
  );
  for (const { ended } of builds) assert.equal((await ended).code, 0);
});
