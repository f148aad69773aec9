import assert from "node:assert/strict";
import { test } from "node:test";
import { listImages } from "../../scripts/make-base-images.ts";
import { assertCountsLinks, examplesMissing, openExampleStore } from "../../test/example-store.ts";
import { runSlipway } from "../../test/slipway.ts";

test("1-numbered: COPY --from=0 brings the program, and only the program, into the image", {
  skip: examplesMissing,
}, async () => {
  using store = await openExampleStore(import.meta.dirname);
  const image = "example/numbered:latest";
  await store.run(["build", "-t", image, "."]);
  await assertCountsLinks(store, image);

  const go = await runSlipway(["run", "--rm", image, "ls", "/usr/lib/go"], { root: store.root });
  assert.notEqual(go.code, 0, "the Go of the first stage is in the image");
  assert.match(go.stderr, /No such file or directory/);

  const find = () => listImages(store.root).find(({ name }) => name === image);
  const { id, sizeBytes } = find()!;
  const golang = listImages(store.root).find(({ name }) => name === "golang:1.7.3")!;
  assert.ok(sizeBytes < golang.sizeBytes / 4, `${sizeBytes} bytes, golang has ${golang.sizeBytes}`);

  await store.run(["build", "-t", image, "."]);
  assert.equal(find()?.id, id, "the second build of unchanged input made another image");
});
