import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openBuildBench, runMissing } from "../build-bench.ts";

describe("what a RUN reads and prints", { skip: runMissing }, () => {
  it("its output can be opened again by name, by other users, too, and its input is empty", async () => {
    using bench = await openBuildBench();
    const write = (who: string) =>
      `RUN --network=none echo ${who} out >/dev/stdout && echo ${who} err | tee /dev/stderr >/dev/null && cat && echo ${who} read`;
    const { code, stderr } = await bench.build(
      `FROM busybox\n${write("root")}\nUSER 1000\n${write("user")}\n`,
    );
    assert.equal(code, 0, stderr);
    for (const line of ["root out", "root err", "root read", "user out", "user err", "user read"])
      assert.match(stderr, new RegExp(`^#\\d+ [\\d.]+ ${line}$`, "m"));
  });

  it("an environment that is longer than what a FIFO takes comes whole", async () => {
    using bench = await openBuildBench();
    const run = (number: number) => `RUN --network=none echo ${number} \${#LONG} \${#LONGER}`;
    const lines = [
      "FROM busybox",
      run(0),
      `ENV LONG=${"a".repeat(60_000)}`,
      `ENV LONGER=${"b".repeat(65_000)}`,
    ];
    const { code, stderr } = await bench.build([...lines, run(1), run(2)].join("\n"));
    assert.equal(code, 0, stderr);
    for (const line of ["0 0 0", "1 60000 65000", "2 60000 65000"])
      assert.match(stderr, new RegExp(`^#\\d+ [\\d.]+ ${line}$`, "m"));
  });
});
