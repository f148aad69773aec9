import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it, test } from "node:test";
import { digestBytes } from "../../src/oci/digest-bytes.ts";
import { MEDIA_TYPE } from "../../src/oci/media-type.ts";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { type RunningRegistry, registryMissing, startRegistry } from "../start-registry.ts";
import { makeTinyImage, writeTinyLayout } from "../tiny-image.ts";

const ACCEPT = [
  MEDIA_TYPE.ociIndex,
  MEDIA_TYPE.ociManifest,
  MEDIA_TYPE.dockerIndex,
  MEDIA_TYPE.dockerManifest,
].join(", ");
const DOCKERFILE = "FROM scratch\nCOPY file /f\n";

describe("the digest of what push sends", { skip: registryMissing }, () => {
  let registry: RunningRegistry;
  let bench: BuildBench;
  before(async () => {
    registry = await startRegistry();
    bench = await openBuildBench();
  });
  after(async () => {
    bench[Symbol.dispose]();
    await registry[Symbol.asyncDispose]();
  });

  const name = (repository: string) => `${registry.host}/${repository}:1`;
  async function run(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await bench.run(args);
    assert.equal(code, 0, stderr);
    return stdout;
  }
  const build = (...args: readonly string[]) =>
    run("build", ...args, bench.context({ Dockerfile: DOCKERFILE, file: "own\n" }));
  /** What the registry says that the tag is. */
  async function head(repository: string): Promise<{ digest: string | null; type: string | null }> {
    const url = `http://${registry.host}/v2/${repository}/manifests/1`;
    const { headers } = await fetch(url, { method: "HEAD", headers: { accept: ACCEPT } });
    return { digest: headers.get("docker-content-digest"), type: headers.get("content-type") };
  }

  it("is that of build --push, of one image and of several platforms", async () => {
    for (const [platforms, type] of [
      ["linux/amd64", MEDIA_TYPE.ociManifest],
      ["linux/amd64,linux/arm64", MEDIA_TYPE.ociIndex],
    ] as const) {
      await build("--platform", platforms, "-t", name("pushed"), "--push");
      await build("--platform", platforms, "-t", name("later"));
      await run("push", name("later"));
      assert.deepEqual(await head("later"), await head("pushed"));
      assert.equal((await head("later")).type, type);
    }
  });

  it("stays, with compression, annotations and attestations, under another name", async () => {
    await build("-t", name("special"), "-o", "type=image,compression=zstd,push=true", "--provenance=true");
    const { digest } = await head("special");
    await run("tag", name("special"), name("special-too"));
    assert.match(await run("push", name("special-too")), new RegExp(`^1: digest: ${digest} `));
    assert.equal((await head("special-too")).digest, digest);

    await build("-t", name("noted"), "--annotation", "a=b", "--push");
    const noted = await head("noted");
    await run("push", name("noted"));
    assert.deepEqual(await head("noted"), noted);
  });

  it("stays when it was pulled: an index of which all is here, else the platform's manifest", async () => {
    await build("--platform=linux/amd64,linux/arm64", "-t", name("index"), "--push");
    const index = await head("index");
    rmSync(bench.root, { recursive: true });
    await run("pull", "--platform=linux/amd64", name("index"));
    await run("tag", name("index"), name("half"));
    await run("push", name("half"));
    const half = await head("half");
    assert.equal(half.type, MEDIA_TYPE.ociManifest);
    const listed = await fetch(`http://${registry.host}/v2/index/manifests/${half.digest}`, {
      headers: { accept: ACCEPT },
    });
    assert.equal(listed.status, 200, "the index has that manifest");

    await run("pull", "--platform=linux/arm64", name("index"));
    await run("tag", name("index"), name("whole"));
    await run("push", name("whole"));
    assert.deepEqual(await head("whole"), index);
  });
});

test("push leaves foreign layers where they are, as docker does", { skip: registryMissing }, async () => {
  await using registry = await startRegistry({ takesForeignLayers: true });
  using bench = await openBuildBench();
  const image = makeTinyImage();
  const document = JSON.parse(Buffer.from(image.manifest).toString("utf8"));
  document.layers[0].urls = ["https://far.test/layer"];
  const manifest = Buffer.from(JSON.stringify(document));
  const descriptor = { ...image.descriptor, digest: digestBytes(manifest), size: manifest.length };
  const layout = join(bench.directory, "layout");
  await writeTinyLayout({ ...image, manifest, descriptor }, layout);
  const loaded = await bench.run(["load", "-i", layout]);
  const id = /^Loaded image ID: (\S+)/.exec(loaded.stdout)?.[1];
  assert.ok(id, loaded.stderr);
  const name = `${registry.host}/foreign:1`;
  assert.equal((await bench.run(["tag", id, name])).code, 0);
  const { code, stdout, stderr } = await bench.run(["push", name]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, `1: digest: ${descriptor.digest} size: ${manifest.length}\n`);
  const has = async (digest: string) =>
    (await fetch(`http://${registry.host}/v2/foreign/blobs/${digest}`, { method: "HEAD" })).status;
  assert.equal(await has(image.config.descriptor.digest), 200);
  assert.equal(await has(image.layer.descriptor.digest), 404);
});
