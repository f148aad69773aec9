import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { listImages } from "../../scripts/make-base-images.ts";
import { type ExampleStore, examplesMissing, openExampleStore } from "../../test/example-store.ts";
import { registryMissing, startRegistry } from "../../test/start-registry.ts";

/** Builds the example with another reference in the place of `nginx:latest`; returns what the built image prints. */
async function buildWith(store: ExampleStore, reference: string): Promise<string> {
  const text = readFileSync(join(import.meta.dirname, "Dockerfile"), "utf8");
  const changed = text.replace("--from=nginx:latest", `--from=${reference}`);
  writeFileSync(join(store.directory, "Dockerfile.changed"), changed);
  await store.run(["build", "-t", "example/copy-from-image", "-f", "Dockerfile.changed", "."]);
  const { stdout } = await store.run(["run", "--rm", "example/copy-from-image"]);
  await store.run(["rmi", "example/copy-from-image"]);
  return stdout;
}

test("4-copy-from-image: COPY --from takes a file of an image by its name, its tag and its id", {
  skip: examplesMissing,
}, async () => {
  using store = await openExampleStore(import.meta.dirname);
  const expected = await buildWith(store, "nginx:latest");
  assert.match(expected, /^http \{/m);
  assert.equal(await buildWith(store, "nginx"), expected);

  await store.run(["tag", "nginx:latest", "nginx:stable"]);
  assert.equal(await buildWith(store, "nginx:stable"), expected);

  const id = listImages(store.root)
    .find(({ name }) => name === "nginx:latest")!
    .id.replace("sha256:", "");
  assert.equal(await buildWith(store, id), expected);
  assert.equal(await buildWith(store, id.slice(0, 12)), expected);
});

test("4-copy-from-image: an image that is not there is pulled, by tag and by digest", {
  skip: examplesMissing || registryMissing,
}, async () => {
  using store = await openExampleStore(import.meta.dirname);
  await using registry = await startRegistry();
  const reference = `${registry.host}/nginx:1.22`;
  await store.run(["tag", "nginx:latest", reference]);
  await store.run(["push", reference]);
  await store.run(["rmi", reference]);
  assert.match(await buildWith(store, reference), /^http \{/m);

  const manifest = await fetch(`http://${registry.host}/v2/nginx/manifests/1.22`, {
    method: "HEAD",
    headers: {
      accept:
        "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json",
    },
  });
  const digest = manifest.headers.get("docker-content-digest");
  assert.match(digest ?? "", /^sha256:[0-9a-f]{64}$/);
  assert.match(await buildWith(store, `${registry.host}/nginx@${digest}`), /^http \{/m);
});
