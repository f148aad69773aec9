import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openBuildBench, runMissing } from "../build-bench.ts";
import { processesWith } from "../run/processes.ts";
import { slipwayPath } from "../slipway.ts";

/** SLIPWAY_STRESS_SECONDS=60 for the long version. */
const DURATION_MS = 1000 * Number(process.env.SLIPWAY_STRESS_SECONDS ?? 8);
const PROCESSES = 8;
/** Of the builds that are killed with kill -9, and how long they live at most. */
const KILLED = 0.25;
const KILLED_AFTER_MS = 1500;

const DOCKERFILES = [
  `FROM busybox AS one
ARG N
COPY a.txt b.txt /in/
RUN cat /in/* > /joined; echo $N >> /joined; echo told $N
FROM busybox
WORKDIR /w
RUN --mount=type=bind,from=one,source=/joined,target=/j wc /j > count; rm -r /root
COPY --from=one --chmod=0600 /joined /w/
`,
  `FROM busybox AS one
ARG N
COPY a.txt b.txt /in/
RUN cat /in/* > /joined; echo $N >> /joined; echo told $N
FROM one
COPY --link b.txt /b
RUN --mount=type=cache,target=/c,sharing=locked date >> /c/log; mkdir -p /d/e; ln /b /d/e/hard; echo $N > /d/n
`,
];

interface Variant {
  readonly dockerfile: number;
  readonly n: number;
}

test("many builds from many processes, some killed, with prunes between: every image is a serial build's", {
  skip: runMissing,
  timeout: DURATION_MS * 3 + 60_000,
}, async () => {
  using bench = await openBuildBench();
  const directory = bench.context({ "a.txt": "a\n", "b.txt": "b\n" });
  for (const [number, text] of DOCKERFILES.entries()) writeFileSync(join(directory, `D${number}`), text);
  const ids = join(bench.directory, "ids");
  mkdirSync(ids);
  let count = 0;

  const start = (args: readonly string[]) => {
    const child = spawn(slipwayPath, args, {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let text = "";
    child.stderr.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    const ended = once(child, "close").then(([code, signal]) => ({ code, signal, text }));
    return { child, ended };
  };
  const build = async (root: string, { dockerfile, n }: Variant, isKilled = false) => {
    const iidfile = join(ids, String(count++));
    // All times are the same, so that equal images have equal ids.
    const args = [
      "build",
      "--progress=plain",
      "-t",
      `v${dockerfile}-${n}`,
      "--timestamp",
      "1000",
      "--iidfile",
      iidfile,
    ];
    const { child, ended } = start([
      ...["--root", root, ...args],
      ...["--build-arg", `N=${n}`, "-f", join(directory, `D${dockerfile}`), directory],
    ]);
    if (isKilled) {
      await sleep(Math.random() * KILLED_AFTER_MS);
      child.kill("SIGKILL");
    }
    const { code, signal, text } = await ended;
    if (isKilled && signal === "SIGKILL") return undefined;
    assert.equal(code, 0, text);
    return readFileSync(iidfile, "utf8");
  };

  const found = new Map<string, Set<string>>();
  const until = Date.now() + DURATION_MS;
  const work = async (worker: number) => {
    while (Date.now() < until) {
      const variant = { dockerfile: Math.random() < 0.5 ? 0 : 1, n: Math.floor(Math.random() * 3) };
      const id = await build(bench.root, variant, Math.random() < KILLED);
      const name = `v${variant.dockerfile}-${variant.n}`;
      if (id !== undefined) found.set(name, (found.get(name) ?? new Set()).add(id));
      if (worker > 1 || Math.random() < 0.5) continue;
      // What was built goes again, under the others' feet.
      await start(["--root", bench.root, "rmi", name]).ended;
      const { code, text } = await start(["--root", bench.root, "prune", "--all"]).ended;
      assert.equal(code, 0, text);
    }
  };
  await Promise.all(Array.from({ length: PROCESSES }, (_, worker) => work(worker)));

  const { code, stdout, stderr } = await bench.run(["verify"]);
  assert.deepEqual([code, stdout], [0, "The store is well\n"], stderr);
  // The last process to open the store has cleaned up after the dead, and left nothing itself.
  assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
  const database = new DatabaseSync(join(bench.root, "db.sqlite"), { readOnly: true });
  for (const table of ["leases", "locks"])
    assert.equal(database.prepare(`SELECT count(*) AS n FROM ${table}`).get()!.n, 0, table);
  database.close();
  assert.deepEqual(processesWith(bench.root), []);

  // One after the other, in a store of its own with the same base.
  const serialRoot = join(bench.directory, "serial");
  const base = join(bench.directory, "base.tar");
  await bench.run(["save", "-o", base, "busybox"]);
  assert.equal((await bench.run(["--root", serialRoot, "load", "-i", base])).code, 0);
  for (const [name, these] of found) {
    const [, dockerfile, n] = /^v(\d)-(\d)$/.exec(name)!;
    const id = await build(serialRoot, { dockerfile: Number(dockerfile), n: Number(n) });
    assert.deepEqual([...these], [id], name);
  }
  assert.ok(found.size >= 4, `only ${found.size} variants were built`);
});
