import assert from "node:assert/strict";
import { chmodSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";

describe("what a changed input leads to", { skip: runMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
  });
  afterEach(() => bench[Symbol.dispose]());

  /** What was not in the cache, in the order of the plan. */
  const misses = async (directory: string, ...args: readonly string[]): Promise<string[]> => {
    const { code, stderr } = await bench.run(["build", "-t", "app", ...args, directory]);
    assert.equal(code, 0, stderr);
    const { steps } = JSON.parse((await bench.run(["explain", "--format", "json"])).stdout) as {
      steps: { name: string; outcome: string }[];
    };
    return steps.flatMap(({ name, outcome }) => (outcome === "miss" ? [name] : []));
  };

  test("a comment in the builder's source that leaves the binary as it was runs nothing after the COPY", async () => {
    const directory = bench.context({
      Dockerfile: `FROM busybox AS builder
COPY main.c /
RUN grep -v '^//' /main.c > /binary
FROM busybox
COPY --from=builder /binary /bin/app
RUN cp /bin/app /tested
FROM busybox
RUN --mount=type=bind,from=builder,source=/binary,target=/b cp /b /copied
COPY --from=1 /tested /
`,
      "main.c": "int main;\n",
    });
    assert.equal((await misses(directory)).length, 6);
    writeFileSync(join(directory, "main.c"), "// a comment\nint main;\n");
    assert.deepEqual(await misses(directory), ["COPY main.c /", "RUN grep -v '^//' /main.c > /binary"]);
    assert.deepEqual(await misses(directory), []);
    writeFileSync(join(directory, "main.c"), "int main2;\n");
    assert.equal((await misses(directory)).length, 6);
  });

  test("times, the directory, other files, proxies and limits of a build change nothing", async () => {
    const files = {
      Dockerfile: "FROM busybox\nCOPY src /src\nRUN --network=none ls -l /src\n",
      "src/a": "a",
      "src/b": "b",
    };
    const one = bench.context(files);
    assert.equal((await misses(one)).length, 2);
    for (const name of readdirSync(join(one, "src"))) utimesSync(join(one, "src", name), 1, 1);
    writeFileSync(join(one, "unrelated"), "");
    assert.deepEqual(await misses(one), []);
    // Made in another order, in another place, by somebody with another umask.
    const other = bench.context({ "src/b": "b", "src/a": "a", Dockerfile: files.Dockerfile });
    for (const name of ["a", "b"]) chmodSync(join(other, "src", name), 0o644);
    const proxy = [
      "--build-arg",
      "https_proxy=http://proxy:1",
      "--build-arg",
      "NO_PROXY=x",
      "--memory",
      "64m",
    ];
    assert.deepEqual(await misses(other, ...proxy), []);
    chmodSync(join(other, "src/a"), 0o755);
    assert.equal((await misses(other)).length, 2);
  });

  test("what lies below a COPY --link counts for what stands on it", async () => {
    const file = (text: string) =>
      `FROM busybox AS base\nRUN echo ${text} > /n\nFROM base\nCOPY --link f /f\nCOPY --link f /g\nRUN cat /n > /m\n`;
    const directory = bench.context({ Dockerfile: file("one"), f: "f" });
    assert.equal((await misses(directory)).length, 4);
    writeFileSync(join(directory, "Dockerfile"), file("two"));
    assert.deepEqual(await misses(directory), ["RUN echo two > /n", "RUN cat /n > /m"]);
    assert.equal((await bench.run(["cat", "app:/m"])).stdout, "two\n");
    const { stdout } = await bench.run(["explain"]);
    assert.match(stdout, /^MISS +RUN cat \/n > \/m: its input "RUN echo two > \/n" changed$/m);
  });
});
