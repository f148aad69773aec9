import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { slipwayPath } from "../slipway.ts";

const MIB = 1 << 20;

interface Part {
  readonly ID: string;
  readonly Kind: string;
  readonly SizeBytes: number;
  readonly InUse: boolean;
  readonly Description: string;
}

describe("the store's size", { skip: runMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
  });
  afterEach(() => bench[Symbol.dispose]());

  const parts = async (): Promise<Part[]> =>
    (await run(["du", "--format", "json"]))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  const run = async (args: readonly string[], env?: NodeJS.ProcessEnv): Promise<string> => {
    const { code, stdout, stderr } = await bench.run(args, { env });
    assert.equal(code, 0, stderr);
    return stdout;
  };
  /** An image with a layer of so many MiB, that a RUN made. */
  const buildLarge = async (name: string, mebibytes: number, args: readonly string[] = []) => {
    const dockerfile = `FROM busybox\nRUN echo ${name} > /name; dd if=/dev/zero of=/large bs=1M count=${mebibytes}\n`;
    const { code, stderr } = await bench.build(dockerfile, { args: ["-t", name, ...args] });
    assert.equal(code, 0, stderr);
    return stderr;
  };
  const total = async () =>
    (await parts())
      .filter(({ Kind }) => Kind !== "temporary")
      .reduce((sum, { SizeBytes }) => sum + SizeBytes, 0);

  test("du tells the kinds and, with -v, each step", async () => {
    await buildLarge("large", 8);
    const step = (await parts()).find(({ Kind }) => Kind === "step-layer")!;
    assert.ok(step.SizeBytes >= 8 * MIB && step.SizeBytes < 9 * MIB, String(step.SizeBytes));
    assert.equal(step.InUse, true);
    assert.match(step.Description, /^RUN \/bin\/sh -c echo large/);
    assert.match(await run(["du"]), /^Layers of steps +1 +8\.\d+MB +0B$/m);
    assert.match(await run(["du", "-v"]), new RegExp(`^${step.ID.slice(0, 12)} +step-layer`, "m"));
  });

  test("prune takes what has lost its name, and leaves what has one and what a container stands on", async () => {
    for (const name of ["named", "contained", "lost"]) await buildLarge(name, 4);
    await run(["container", "create", "--name", "keeper", "contained"]);
    await run(["tag", "named", "named2"]);
    await run(["rmi", "lost"]);
    await bench.run(["rmi", "contained"]);
    const freed = await run(["prune"]);
    assert.match(freed, /^Total reclaimed space: 4\.\d+MB$/m);
    assert.equal((await parts()).filter(({ Kind }) => Kind === "step-layer").length, 2);
    assert.match(await run(["run", "--rm", "named", "ls", "/large"]), /large/);
    await run(["container", "cp", "keeper:/large", join(bench.directory, "copied")]);
    // The record went with the layer.
    assert.doesNotMatch(await buildLarge("lost", 4), /CACHED/);
    assert.match(await run(["prune"]), /^Total reclaimed space: 0B$/m);
  });

  test("--filter until keeps what was used since; --all takes cache mounts, too", async () => {
    const { code } = await bench.build("FROM busybox\nRUN --mount=type=cache,target=/c echo > /c/x\n");
    assert.equal(code, 0);
    const kinds = async () => (await parts()).map(({ Kind }) => Kind);
    await run(["prune", "--all", "--filter", "until=1h"]);
    assert.ok((await kinds()).includes("step-layer"));
    assert.ok((await kinds()).includes("cache-mount"));
    await run(["prune"]);
    assert.ok(!(await kinds()).includes("step-layer"));
    assert.ok((await kinds()).includes("cache-mount"));
    await run(["prune", "--all"]);
    assert.ok(!(await kinds()).includes("cache-mount"));
    assert.deepEqual(readdirSync(join(bench.root, "cache-mounts")), []);
    const { stderr } = await bench.run(["prune", "--filter", "until=soon"]);
    assert.match(stderr, /Cannot use "until=soon" for --filter: it is no time/);
  });

  test("--filter type and id take only that, and a wrong one is told", async () => {
    const dockerfile = "FROM busybox\nRUN --mount=type=cache,target=/c echo > /c/x\nRUN echo > /y\n";
    assert.equal((await bench.build(dockerfile)).code, 0);
    const idsOf = async (kind: string) =>
      (await parts()).flatMap(({ Kind, ID }) => (Kind === kind ? [ID] : []));
    await run(["prune", "--filter", "type=exec.cachemount"]);
    assert.deepEqual(await idsOf("cache-mount"), []);
    const [first, second] = await idsOf("step-layer");
    const filters = ["--filter", `id=${first!.slice(0, 12)}`, "--filter", "type=step-layer"];
    const told = (await run(["prune", "--format", "json", ...filters])).trim().split("\n");
    const [gone, sum] = told.map((line) => JSON.parse(line));
    assert.deepEqual([gone.ID, gone.Kind, sum], [first, "step-layer", { ReclaimedBytes: gone.SizeBytes }]);
    assert.deepEqual(await idsOf("step-layer"), [second]);
    await run(["prune", "--filter", "type=git"]);
    assert.deepEqual(await idsOf("step-layer"), [second]);
    const kind = await bench.run(["prune", "--filter", "type=step-layr"]);
    assert.match(kind.stderr, /there is no such kind\n\nHint: Did you mean "?step-layer/);
    const filter = await bench.run(["prune", "--filter", "color=red"]);
    assert.match(filter.stderr, /Cannot use "color=red" for --filter: there is no such filter/);
  });

  test("--max-used-space takes the least recently used first", async () => {
    for (const name of ["one", "two", "three"]) await buildLarge(name, 4);
    // Used again: a hit counts.
    assert.match(await buildLarge("one", 4), /CACHED/);
    await run(["rmi", "one", "two", "three"]);
    await run(["prune", "--max-used-space", String((await total()) - 6 * MIB)]);
    const left = (await parts()).filter(({ Kind }) => Kind === "step-layer");
    assert.deepEqual(
      left.map(({ Description }) => /echo (\w+)/.exec(Description)![1]),
      ["one"],
    );
  });

  test("--store-max keeps the store below it, also while a build runs", async () => {
    await buildLarge("base", 1);
    await run(["rmi", "base"]);
    const max = (await total()) + 10 * MIB;
    for (let n = 0; n < 5; n++) {
      const text = await buildLarge(`n${n}`, 4, ["--store-max", String(max)]);
      assert.doesNotMatch(text, /WARNING/);
      assert.ok((await total()) <= max);
      await run(["rmi", `n${n}`]);
    }
    // Two of them fit; the last one is there.
    assert.match(await buildLarge("n4", 4), /CACHED/);
    const small = await bench.run(["images"], { env: { SLIPWAY_STORE_MAX: "1m" } });
    assert.equal(small.code, 0);
    const { stderr } = await bench.build("FROM busybox\n", { args: ["-t", "x", "--store-max", "1m"] });
    assert.match(
      stderr,
      /^WARNING: the store takes .*, more than the 1\.05MB that it may: images with a name/m,
    );
  });

  test("a running build loses nothing, also what it has only looked up", async () => {
    const dockerfile = `FROM busybox
RUN echo first > /first
RUN --mount=type=cache,target=/c touch /c/begun; until [ -e /c/go ]; do sleep 0.05; done; cat /first
`;
    // The first step is there already, without a name.
    await bench.build(dockerfile.split("\n").slice(0, 2).join("\n"));
    const directory = bench.context({ Dockerfile: dockerfile });
    const child = spawn(slipwayPath, ["--root", bench.root, "build", "-t", "slow", directory], {
      stdio: "ignore",
    });
    const closed = once(child, "close");
    const mounts = join(bench.root, "cache-mounts");
    const find = () =>
      (existsSync(mounts) ? readdirSync(mounts) : []).find((name) => existsSync(join(mounts, name, "begun")));
    while (find() === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    await run(["prune", "--all"]);
    const { writeFileSync } = await import("node:fs");
    writeFileSync(join(mounts, find()!, "go"), "");
    assert.deepEqual((await closed)[0], 0);
    assert.match(await run(["run", "--rm", "slow", "cat", "/first"]), /first/);
    rmSync(mounts, { recursive: true });
  });
});
