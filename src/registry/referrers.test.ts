import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { startFaultProxy } from "../../test/start-fault-proxy.ts";
import { registryMissing, startRegistry } from "../../test/start-registry.ts";
import { makeTinyImage } from "../../test/tiny-image.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { parseImageReference } from "../oci/reference.ts";
import { makeRegistryClient } from "./registry-client.ts";

test("where there is no referrers API, the referrers tag takes its part", {
  skip: registryMissing,
}, async () => {
  await using registry = await startRegistry();
  await using client = makeRegistryClient();
  const reference = parseImageReference(`${registry.host}/x:1`);
  const image = makeTinyImage();
  const subject = image.descriptor;
  for (const { descriptor, bytes } of [image.config, image.layer]) {
    await client.pushBlob(reference, descriptor, () => Readable.from([bytes]));
  }
  await client.pushManifest(reference, subject.mediaType, image.manifest);
  assert.deepEqual(await client.listReferrers(reference, subject.digest), []);

  const attach = (artifactType: string, annotations?: Record<string, string>) => {
    const { config, layers } = JSON.parse(Buffer.from(image.manifest).toString());
    const manifest = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociManifest,
      artifactType,
      config,
      layers,
      subject,
      annotations,
    };
    const bytes = Buffer.from(JSON.stringify(manifest));
    return client.pushManifest({ ...reference, tag: undefined }, MEDIA_TYPE.ociManifest, bytes);
  };
  const sbom = await attach("application/sbom", { a: "b" });
  const signature = await attach("application/signature");
  await attach("application/signature");
  assert.deepEqual(await client.listReferrers(reference, subject.digest), [
    { ...sbom, artifactType: "application/sbom", annotations: { a: "b" } },
    { ...signature, artifactType: "application/signature" },
  ]);
  const some = await client.listReferrers(reference, subject.digest, { artifactType: "application/sbom" });
  assert.deepEqual(
    some.map(({ digest }) => digest),
    [sbom.digest],
  );
});

test("the referrers API is read page after page", async () => {
  const entry = (text: string) => ({
    mediaType: MEDIA_TYPE.ociManifest,
    digest: digestBytes(text),
    size: 1,
    artifactType: text,
  });
  const page = (...names: string[]) =>
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests: names.map(entry) });
  await using server = await startFaultProxy(undefined, ({ path }) => {
    if (path === "/v2/") return { kind: "answer", status: 200 };
    if (path.endsWith("?page=2")) return { kind: "answer", status: 200, body: page("b") };
    return {
      kind: "answer",
      status: 200,
      headers: { link: '</v2/x/next?page=2>; rel="next"' },
      body: page("a", "c"),
    };
  });
  await using client = makeRegistryClient();
  const reference = parseImageReference(`${server.host}/x`);
  assert.deepEqual(await client.listReferrers(reference, digestBytes("")), [
    entry("a"),
    entry("c"),
    entry("b"),
  ]);
  assert.deepEqual(await client.listReferrers(reference, digestBytes(""), { artifactType: "b" }), [
    entry("b"),
  ]);
});
