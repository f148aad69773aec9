import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { digestHex } from "../../src/oci/digest.ts";
import { digestBytes } from "../../src/oci/digest-bytes.ts";
import { MEDIA_TYPE } from "../../src/oci/media-type.ts";
import { makeRegistryClient } from "../../src/registry/registry-client.ts";
import { runCommand, runSlipway, slipway } from "../slipway.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";
import { makeTinyImage, writeTinyLayout } from "../tiny-image.ts";

const skip = registryMissing;
const work = mkdtempSync(join(tmpdir(), "slipway-copy-"));
after(() => rmSync(work, { recursive: true, force: true }));
const root = join(work, "store");
const copy = async (...args: readonly string[]) =>
  (await slipway(["copy", "-q", ...args], { root })).stdout.trim();

/** A layout with the tag `1`: an index over two platforms, whose layers differ. */
async function makeIndexLayout() {
  const directory = mkdtempSync(join(work, "layout-"));
  const [first, second] = [makeTinyImage(10), makeTinyImage(300_000)];
  await writeTinyLayout(first, directory);
  await writeTinyLayout(second, directory);
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociIndex,
      manifests: [
        { ...first.descriptor, platform: { os: "linux", architecture: "amd64" } },
        { ...second.descriptor, platform: { os: "linux", architecture: "arm64" } },
      ],
    }),
  );
  const index: Descriptor = {
    mediaType: MEDIA_TYPE.ociIndex,
    digest: digestBytes(bytes),
    size: bytes.length,
  };
  writeFileSync(join(directory, "blobs/sha256", digestHex(index.digest)), bytes);
  const named = { ...index, annotations: { "org.opencontainers.image.ref.name": "1" } };
  writeFileSync(join(directory, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [named] }));
  return { directory, index, first, second };
}

const blobsOf = (directory: string) => readdirSync(join(directory, "blobs/sha256")).sort();
const tagsOf = (directory: string) =>
  JSON.parse(readFileSync(join(directory, "index.json"), "utf8")).manifests.map(
    ({ annotations }: Descriptor) => annotations?.["org.opencontainers.image.ref.name"],
  );

test("copy carries all platforms from a layout over two registries and an archive, with their digests", {
  skip,
}, async () => {
  await using one = await startRegistry();
  await using two = await startRegistry();
  const { directory, index } = await makeIndexLayout();
  assert.equal(await copy(`oci:${directory}:1`, `${one.host}/a/b:x`), index.digest);
  assert.equal(await copy(`docker://${one.host}/a/b:x`, `${two.host}/c:y`), index.digest);
  const archive = join(work, "all.tar");
  assert.equal(await copy(`${two.host}/c:y`, `oci-archive:${archive}:z`), index.digest);
  const last = join(work, "last");
  assert.equal(await copy(`oci-archive:${archive}`, `oci:${last}:end`), index.digest);
  assert.deepEqual(blobsOf(last), blobsOf(directory));
  assert.deepEqual(tagsOf(last), ["end"]);
  assert.equal(readdirSync(join(root, "tmp")).length, 0, "nothing is left in the store");
});

test("copy --platform takes one manifest, and a layout keeps its other images", async () => {
  const { directory, first, second } = await makeIndexLayout();
  const target = mkdtempSync(join(work, "target-"));
  assert.equal(
    await copy("--platform", "linux/arm64", `oci:${directory}:1`, `oci:${target}:arm`),
    second.descriptor.digest,
  );
  assert.deepEqual(
    blobsOf(target),
    [second.descriptor, second.config.descriptor, second.layer.descriptor]
      .map(({ digest }) => digestHex(digest))
      .sort(),
  );
  await copy("--platform", "linux/amd64", `oci:${directory}:1`, `oci:${target}:amd`);
  assert.deepEqual(tagsOf(target), ["arm", "amd"]);
  await copy("--platform", "linux/amd64", `oci:${directory}:1`, `oci:${target}:arm`);
  assert.deepEqual(tagsOf(target), ["amd", "arm"]);
  assert.ok(blobsOf(target).includes(digestHex(first.descriptor.digest)));
  const { stderr } = await runSlipway(
    ["copy", "--platform", "linux/s390x", `oci:${directory}:1`, `oci:${target}`],
    { root },
  );
  assert.match(stderr, /Cannot copy ".*" for linux\/s390x: it has no image for that platform/);
});

test("copy within a registry mounts the blobs: none is uploaded again", { skip }, async () => {
  await using registry = await startRegistry();
  const { directory, index } = await makeIndexLayout();
  await copy(`oci:${directory}:1`, `${registry.host}/from:1`);
  const uploads = () => readFileSync(registry.logPath, "utf8").match(/"PUT \/v2\/[a-z]+\/blobs\/uploads/g);
  const before = uploads()!.length;
  assert.equal(await copy(`${registry.host}/from:1`, `${registry.host}/to:1`), index.digest);
  assert.equal(uploads()!.length, before);
  assert.ok(existsSync(join(registry.directory, "docker/registry/v2/repositories/to/_manifests/tags/1")));
});

test("copy of a layer whose bytes were changed fails, and no name leads to the copy", { skip }, async () => {
  await using registry = await startRegistry();
  const { directory, second } = await makeIndexLayout();
  const path = join(directory, "blobs/sha256", digestHex(second.layer.descriptor.digest));
  const bytes = readFileSync(path);
  bytes[1000]! ^= 1;
  writeFileSync(path, bytes);
  const target = join(work, "not-there");
  for (const to of [`oci:${target}:1`, `${registry.host}/a:1`, `oci-archive:${target}.tar`]) {
    const { code, stderr } = await runSlipway(["copy", `oci:${directory}:1`, to], { root });
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`Cannot use the blob "${second.layer.descriptor.digest}"`));
  }
  assert.ok(!existsSync(join(target, "index.json")));
  assert.ok(!blobsOf(target).some((name) => name.startsWith(digestHex(second.layer.descriptor.digest))));
  assert.ok(!existsSync(`${target}.tar`));
  const pulled = await runSlipway(["pull", `${registry.host}/a:1`], { root });
  assert.equal(pulled.code, 1);
});

test("skopeo reads what copy wrote", {
  skip: !existsSync("/usr/bin/skopeo") && "skopeo is missing (apt-get install skopeo)",
}, async () => {
  const { directory, index } = await makeIndexLayout();
  const [layout, archive] = [join(work, "for-skopeo"), join(work, "for-skopeo.tar")];
  await copy(`oci:${directory}:1`, `oci:${layout}:1`);
  await copy(`oci:${directory}:1`, `oci-archive:${archive}:1`);
  for (const name of [`oci:${layout}:1`, `oci-archive:${archive}:1`]) {
    const { stdout, stderr } = await runCommand("skopeo", ["inspect", "--raw", name]);
    assert.equal(digestBytes(Buffer.from(stdout)), index.digest, stderr);
  }
});

test("copy says what it cannot read", async () => {
  const fail = async (...args: readonly string[]) => (await runSlipway(["copy", ...args], { root })).stderr;
  assert.match(await fail("oci:", "oci:x"), /Cannot use "oci:": it is not oci:PATH\[:TAG\]/);
  assert.match(await fail("oci:/none:1", `oci:${work}/x`), /Cannot open "oci-layout:\/\/\/none:1"/);
  assert.match(await fail("oci-archive:/none.tar", `oci:${work}/x`), /Cannot read "\/none.tar"/);
});

test("copy from a layout mounts blobs that an earlier copy brought to another repository of the registry", {
  skip,
}, async () => {
  await using registry = await startRegistry();
  const { directory, index } = await makeIndexLayout();
  await copy(`oci:${directory}:1`, `${registry.host}/from:1`);
  const uploads = () => readFileSync(registry.logPath, "utf8").match(/"PUT \/v2\/[a-z]+\/blobs\/uploads/g);
  const before = uploads()!.length;
  assert.equal(await copy(`oci:${directory}:1`, `${registry.host}/to:1`), index.digest);
  assert.equal(uploads()!.length, before);
});

test("copy --referrers brings signatures of an image and of its SBOM along, and copy without it does not", {
  skip,
}, async () => {
  await using one = await startRegistry();
  await using two = await startRegistry();
  const { directory, first } = await makeIndexLayout();
  await copy("--platform", "linux/amd64", `oci:${directory}:1`, `${one.host}/a:1`);
  await using client = makeRegistryClient();
  const repository = { registry: one.host, repository: "a" } as const;
  const attach = async (subject: Descriptor, artifactType: string) => {
    const config = Buffer.from("{}");
    const descriptor = {
      mediaType: "application/vnd.oci.empty.v1+json",
      digest: digestBytes(config),
      size: 2,
    };
    await client.pushBlob(repository, descriptor, async function* () {
      yield config;
    });
    const manifest = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociManifest,
      artifactType,
      config: descriptor,
      layers: [descriptor],
      subject,
    };
    const bytes = Buffer.from(JSON.stringify(manifest));
    return client.pushManifest({ ...repository, digest: digestBytes(bytes) }, MEDIA_TYPE.ociManifest, bytes);
  };
  const sbom = await attach(first.descriptor, "application/spdx+json");
  const signature = await attach(sbom, "application/vnd.example.signature");
  const found = async (name: string, subject: Descriptor) =>
    (await client.listReferrers({ registry: two.host, repository: name }, subject.digest)).map(
      ({ digest, artifactType }) => [digest, artifactType],
    );

  await copy(`${one.host}/a:1`, `${two.host}/plain:1`);
  assert.deepEqual(await found("plain", first.descriptor), []);
  assert.equal(await copy("--referrers", `${one.host}/a:1`, `${two.host}/whole:1`), first.descriptor.digest);
  assert.deepEqual(await found("whole", first.descriptor), [[sbom.digest, "application/spdx+json"]]);
  assert.deepEqual(await found("whole", sbom), [[signature.digest, "application/vnd.example.signature"]]);
  const { stderr } = await runSlipway(
    ["copy", "--referrers", `${one.host}/a:1`, `oci:${join(work, "never")}`],
    { root },
  );
  assert.match(stderr, /Cannot copy referrers: only from a registry to a registry/);
});
