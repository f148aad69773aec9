import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { examplesMissing, openExampleStore } from "../../test/example-store.ts";

test("5-stage-from-stage: two stages stand on a third one and compile each its source", {
  skip: examplesMissing,
}, async () => {
  using store = await openExampleStore(import.meta.dirname);
  const image = "example/stage-from-stage";
  await store.run(["build", "-t", image, "."]);
  assert.equal((await store.run(["run", "--rm", image])).stdout, "one: built in the stage build1\n");
  assert.equal(
    (await store.run(["run", "--rm", image, "/binary2"])).stdout,
    "two: built in the stage build2\n",
  );
});

test("5-stage-from-stage: the two compile at the same time", { skip: examplesMissing }, async () => {
  using store = await openExampleStore(import.meta.dirname);
  // Each stage notes the seconds since the machine started, before and after; the wait makes it certain that they meet.
  const text = readFileSync(join(store.directory, "Dockerfile"), "utf8")
    .replaceAll(
      /RUN g\+\+ (.*)/g,
      "RUN cat /proc/uptime >> /times; g++ $1 && sleep 2; cat /proc/uptime >> /times",
    )
    .replace(
      /FROM scratch.*/s,
      "FROM alpine:latest\nCOPY --from=build1 /times /1\nCOPY --from=build2 /times /2\n",
    );
  writeFileSync(join(store.directory, "Dockerfile.timed"), text);
  const image = "example/stage-from-stage:timed";
  await store.run(["build", "--no-cache", "-t", image, "-f", "Dockerfile.timed", "."]);
  const { stdout } = await store.run(["run", "--rm", image, "cat", "/1", "/2"]);
  const [start1, end1, start2, end2] = stdout.split("\n").map((line) => Number(line.split(" ")[0]));
  assert.ok(Math.max(start1!, start2!) < Math.min(end1!, end2!), `one after the other:\n${stdout}`);
});
