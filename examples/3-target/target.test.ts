import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertCountsLinks, examplesMissing, openExampleStore } from "../../test/example-store.ts";
import { runSlipway } from "../../test/slipway.ts";

test("3-target: --target builder stops there and tags that stage", { skip: examplesMissing }, async () => {
  using store = await openExampleStore(import.meta.dirname);
  // What comes after the target is not built, so it may be broken.
  appendFileSync(join(store.directory, "Dockerfile"), "RUN false\n");
  await store.run(["build", "--target", "builder", "-t", "example/target:builder", "."]);

  const { stdout } = await store.run(["run", "--rm", "example/target:builder", "go", "version"]);
  assert.match(stdout, /^go version go1\./);
  await assertCountsLinks(store, "example/target:builder", ["./app"]);
});

test("3-target: a target that does not exist is an error that says which one was meant", {
  skip: examplesMissing,
}, async () => {
  using store = await openExampleStore(import.meta.dirname);
  const { code, stderr } = await runSlipway(
    ["build", "--target", "bulider", "-t", "example/target:no", "."],
    {
      root: store.root,
      cwd: store.directory,
    },
  );
  assert.notEqual(code, 0);
  assert.match(stderr, /"bulider"/);
  assert.match(stderr, /Did you mean "builder"\?/);
});
