import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { registryMissing, startRegistry } from "../../test/start-registry.ts";
import { makeTinyImage } from "../../test/tiny-image.ts";
import { BuildError } from "../errors/build-error.ts";
import { formatImageReference, parseImageReference } from "../oci/reference.ts";
import { makeRegistryClient } from "./registry-client.ts";
import { rewriteReference } from "./rewrite-reference.ts";

// Expected values: containers-registries.conf(5), "Remapping and mirroring registries".

test("rewriteReference() takes the longest prefix, mirrors first", () => {
  const rules = [
    { prefix: "docker.io", mirrors: ["mirror:5000", "other.example/hub"] },
    { prefix: "docker.io/library", location: "internal.example/official" },
    { prefix: "bad.example", isBlocked: true },
  ];
  const rewrite = (text: string) =>
    rewriteReference(parseImageReference(text), rules).map(formatImageReference);
  assert.deepEqual(rewrite("me/tool:1"), [
    "mirror:5000/me/tool:1",
    "other.example/hub/me/tool:1",
    "docker.io/me/tool:1",
  ]);
  assert.deepEqual(rewrite("alpine"), ["internal.example/official/alpine:latest"]);
  assert.deepEqual(rewrite("quay.io/a"), ["quay.io/a:latest"]);
  assert.deepEqual(rewrite("docker.io.example/a"), ["docker.io.example/a:latest"]);
  assert.throws(() => rewrite("bad.example/a"), {
    code: "registry",
    message: 'Cannot use "bad.example/a": the configuration blocks "bad.example"',
  });
});

test("a pull tries the mirrors, then the original; a push goes to the original", {
  skip: registryMissing,
}, async () => {
  await using mirror = await startRegistry();
  await using original = await startRegistry();
  const rules = [
    { prefix: "r.test", location: original.host, mirrors: ["127.0.0.1:1", `${mirror.host}/cache`] },
  ];
  await using client = makeRegistryClient({ rules, retries: { count: 0, delayMs: 1 } });
  const reference = parseImageReference("r.test/x:1");
  const image = makeTinyImage();
  const { layer, config } = image;
  for (const { descriptor, bytes } of [config, layer]) {
    await client.pushBlob(reference, descriptor, () => Readable.from([bytes]));
  }
  await client.pushManifest(reference, image.descriptor.mediaType, image.manifest);
  assert.ok(await client.hasBlob(parseImageReference(`${original.host}/x`), layer.descriptor.digest));
  assert.ok(!(await client.hasBlob(parseImageReference(`${mirror.host}/cache/x`), layer.descriptor.digest)));

  assert.equal(await client.mountBlob({ ...reference, repository: "y" }, layer.descriptor.digest, "x"), true);

  assert.deepEqual(await client.headManifest(reference), image.descriptor);
  assert.deepEqual((await client.resolveManifest(reference)).descriptor, image.descriptor);
  const pieces = await Array.fromAsync(client.openBlob(reference, layer.descriptor));
  assert.deepEqual(Buffer.concat(pieces), Buffer.from(layer.bytes));

  const inMirror = parseImageReference(`${mirror.host}/cache/x:mirrored`);
  for (const { descriptor, bytes } of [config, layer]) {
    await client.pushBlob(inMirror, descriptor, () => Readable.from([bytes]));
  }
  await client.pushManifest(inMirror, image.descriptor.mediaType, image.manifest);
  const mirrored = await client.resolveManifest({ ...reference, tag: "mirrored" });
  assert.deepEqual(mirrored.descriptor, image.descriptor);

  assert.equal(await client.headManifest({ ...reference, tag: "nowhere" }), undefined);
  await assert.rejects(client.resolveManifest({ ...reference, tag: "nowhere" }), (error) => {
    assert.ok(error instanceof BuildError);
    assert.equal(error.code, "image-not-found");
    assert.ok(error.message.includes(original.host));
    assert.match(error.hint ?? "", /refuses the connection.*cache\/x:nowhere/);
    return true;
  });
});
