import assert from "node:assert/strict";
import { test } from "node:test";
import { assertCountsLinks, examplesMissing, openExampleStore } from "../../test/example-store.ts";

test("2-named: COPY --from=builder takes from the stage of that name", {
  skip: examplesMissing,
}, async () => {
  using store = await openExampleStore(import.meta.dirname);
  await store.run(["build", "-t", "example/named", "."]);
  await assertCountsLinks(store, "example/named");
});

test("2-named: the names still mean the same stages when their order is another", {
  skip: examplesMissing,
}, async () => {
  using store = await openExampleStore(import.meta.dirname);
  await store.run(["build", "-t", "example/reordered", "-f", "Dockerfile.reordered", "."]);
  await assertCountsLinks(store, "example/reordered");
  const { stdout } = await store.run(["run", "--rm", "example/reordered", "cat", "nginx.conf"]);
  assert.match(stdout, /^http \{/m);
});
