import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";

describe("a build after a prune that left what its tag needs", { skip: runMissing }, () => {
  let bench: BuildBench;
  let directory: string;
  beforeEach(async () => {
    bench = await openBuildBench();
    directory = bench.context({
      Dockerfile: `FROM busybox AS builder
RUN echo tools > /tools
COPY source other /
RUN --mount=type=cache,target=/runs date +%N > /runs/$(date +%s%N); cat /tools /source > /binary; cp /other /asset
FROM busybox
COPY --from=builder /binary /bin/app
COPY --from=builder /asset /asset
RUN cp /bin/app /tested
`,
      source: "one\n",
      other: "asset\n",
    });
    await build();
    await succeed(["prune"]);
  });
  afterEach(() => bench[Symbol.dispose]());

  const succeed = async (args: readonly string[]) => {
    const result = await bench.run(args);
    assert.equal(result.code, 0, result.stderr);
    return result;
  };
  const build = async (...args: readonly string[]): Promise<string> =>
    (await succeed(["build", "--progress=plain", "-t", "app", ...args, directory])).stderr;
  const plan = async (): Promise<string[]> => {
    const { stdout } = await succeed(["plan", "--format", "json", directory]);
    const { steps } = JSON.parse(stdout) as { readonly steps: readonly { name: string; outcome: string }[] };
    return steps.map(({ name, outcome }) => `${outcome} ${name.split(" ", 2).join(" ")}`);
  };
  const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;
  const stepLayers = async () =>
    count((await succeed(["du", "--format", "json"])).stdout, /"Kind":"step-layer"/g);
  const read = async (path: string) => (await succeed(["run", "--rm", "app", "cat", path])).stdout;

  test("takes every step from the cache and runs nothing", async () => {
    assert.equal(await stepLayers(), 3);
    const text = await build();
    assert.equal(count(text, /CACHED/g), 6, text);
    assert.doesNotMatch(text, /runs again/);
    assert.equal(await stepLayers(), 3);
    assert.ok((await plan()).every((line) => line.startsWith("hit ")));
    await succeed(["verify"]);
  });

  test("runs the builder when its source has changed, on top of what is made again", async () => {
    writeFileSync(join(directory, "source"), "two\n");
    assert.deepEqual(await plan(), [
      "run RUN echo",
      "run COPY source",
      "run RUN --mount=type=cache,target=/runs",
      "unknown COPY --from=builder",
      "unknown COPY --from=builder",
      "unknown RUN cp",
    ]);
    const text = await build();
    assert.match(text, /RUN echo tools > \/tools: the cache knows its result.*runs again/);
    assert.equal(await read("/tested"), "tools\ntwo\n");
    assert.equal(await read("/asset"), "asset\n");
    assert.equal(count(await build(), /CACHED/g), 6);
    await succeed(["verify"]);
  });

  test("mixes no files of two runs where only some layers of a stage are gone", async () => {
    const copyTo = (target: string) =>
      writeFileSync(
        join(directory, "Dockerfile"),
        `FROM busybox AS builder
RUN date +%s > /first; head -c 3000000 /dev/zero > /large
RUN cp /first /second; sleep 1
FROM busybox
COPY --from=builder /first /second ${target}/
`,
      );
    copyTo("/a");
    await build();
    const { stdout } = await succeed(["du", "--format", "json"]);
    const parts = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const large = parts.find(({ Kind, SizeBytes }) => Kind === "step-layer" && SizeBytes > 3_000_000);
    await succeed(["prune", "--filter", `id=${large.ID}`]);
    copyTo("/b");
    assert.deepEqual(await plan(), ["run RUN date", "run RUN cp", "unknown COPY --from=builder"]);
    const text = await build();
    assert.match(text, /RUN cp .*: a step below it runs again, so it does, too/);
    assert.equal(await read("/b/second"), await read("/b/first"));
    await succeed(["verify"]);
  });

  test("makes what a cache to write needs, and forgets all after prune --all", async () => {
    const cache = join(bench.directory, "cache");
    const text = await build("--cache-to", `type=local,dest=${cache},mode=max`);
    assert.equal(await stepLayers(), 6, text);
    assert.ok(existsSync(join(cache, "index.json")));
    await succeed(["prune"]);
    await succeed(["prune", "--all"]);
    assert.equal(count(await build(), /CACHED/g), 3);
    await succeed(["verify"]);
  });
});
