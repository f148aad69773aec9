import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { listImages } from "../../scripts/make-base-images.ts";
import { assertCountsLinks, examplesMissing, openExampleStore } from "../../test/example-store.ts";
import { runCommand, slipwayPath } from "../../test/slipway.ts";

test("6-builder-pattern: build.sh of the days before multi-stage builds runs as it is, twice", {
  skip: examplesMissing,
}, async () => {
  using store = await openExampleStore(import.meta.dirname);
  const env = { SLIPWAY_ROOT: store.root, PATH: `${dirname(slipwayPath)}:${process.env.PATH}` };
  // The second time the name "extract" has to be free again.
  for (const _ of [1, 2]) {
    const { code, stdout, stderr } = await runCommand("./build.sh", [], { cwd: store.directory, env });
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^Building example\/href-counter:latest$/m);
  }
  assert.equal(existsSync(join(store.directory, "app")), false);
  await assertCountsLinks(store, "example/href-counter:latest");

  const names = listImages(store.root).map(({ name }) => name);
  assert.ok(names.includes("example/href-counter:build"));
});
