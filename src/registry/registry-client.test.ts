import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { promisify } from "node:util";
import { registryMissing, startRegistry } from "../../test/start-registry.ts";
import { makeTinyImage, type TinyImage, writeTinyLayout } from "../../test/tiny-image.ts";
import { BuildError } from "../errors/build-error.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { type ImageReference, parseImageReference } from "../oci/reference.ts";
import { makeRegistryClient, type RegistryClient } from "./registry-client.ts";

const run = promisify(execFile);
const skip = registryMissing;
const skopeoMissing =
  registryMissing || (existsSync("/usr/bin/skopeo") ? false : "skopeo is missing (apt-get install skopeo)");
const shared = process.env.SLIPWAY_SHARED ?? join(import.meta.dirname, "../../../shared");

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

const streamOf = (bytes: Uint8Array) => () => Readable.from([bytes]);

async function pushImage(client: RegistryClient, reference: ImageReference, image: TinyImage) {
  for (const { descriptor, bytes } of [image.config, image.layer]) {
    await client.pushBlob(reference, descriptor, streamOf(bytes));
  }
  return client.pushManifest(reference, image.descriptor.mediaType, image.manifest);
}

test("skopeo reads what was pushed", { skip: skopeoMissing }, async () => {
  await using registry = await startRegistry();
  await using client = makeRegistryClient();
  const image = makeTinyImage();
  const descriptor = await pushImage(client, parseImageReference(`${registry.host}/a/b:c`), image);
  assert.deepEqual(descriptor, image.descriptor);

  const { stdout } = await run("skopeo", [
    "inspect",
    "--tls-verify=false",
    `docker://${registry.host}/a/b:c`,
  ]);
  const seen = JSON.parse(stdout);
  assert.equal(seen.Digest, image.descriptor.digest);
  assert.deepEqual(seen.Layers, [image.layer.descriptor.digest]);
  assert.deepEqual(seen.Env, ["A=b"]);
});

test("what skopeo pushed is read back, byte for byte", { skip: skopeoMissing }, async (t) => {
  await using registry = await startRegistry();
  await using client = makeRegistryClient();
  const directory = await mkdtemp(join(tmpdir(), "slipway-layout-"));
  t.after(() => rm(directory, { recursive: true }));
  const image = makeTinyImage(100_000);
  await writeTinyLayout(image, directory);
  await run("skopeo", [
    "copy",
    "--dest-tls-verify=false",
    `oci:${directory}:latest`,
    `docker://${registry.host}/tiny:1`,
  ]);

  const reference = parseImageReference(`${registry.host}/tiny:1`);
  const resolved = await client.resolveManifest(reference);
  assert.equal(digestBytes(resolved.bytes), resolved.descriptor.digest);
  assert.deepEqual(await client.headManifest(reference), resolved.descriptor);
  const manifest = JSON.parse(Buffer.from(resolved.bytes).toString());
  assert.equal(manifest.config.digest, image.config.descriptor.digest);
  for (const descriptor of [manifest.config, ...manifest.layers] as Descriptor[]) {
    const bytes = await readAll(client.openBlob(reference, descriptor));
    assert.equal(bytes.length, descriptor.size);
    assert.equal(digestBytes(bytes), descriptor.digest);
  }
  const byDigest = await client.resolveManifest({ ...reference, digest: resolved.descriptor.digest });
  assert.deepEqual(byDigest, resolved);
});

const multiarch = join(shared, "corpus/images/multiarch");
test("an index of several platforms is read", {
  skip: skopeoMissing || (existsSync(multiarch) ? false : `${multiarch} is missing`),
}, async () => {
  await using registry = await startRegistry();
  await using client = makeRegistryClient();
  const to = `${registry.host}/many`;
  await run("skopeo", ["copy", "--all", "--dest-tls-verify=false", `oci:${multiarch}`, `docker://${to}`]);
  const reference = parseImageReference(to);
  const index = await client.resolveManifest(reference);
  assert.equal(index.descriptor.mediaType, MEDIA_TYPE.ociIndex);
  const { manifests } = JSON.parse(Buffer.from(index.bytes).toString()) as { manifests: Descriptor[] };
  assert.ok(manifests.length > 1);
  for (const { digest, mediaType, size } of manifests) {
    const { descriptor } = await client.resolveManifest({ ...reference, digest });
    assert.deepEqual(descriptor, { mediaType, digest, size });
  }
});

test("Docker's schema 2 is read, schema 1 is refused by its name", { skip: skopeoMissing }, async (t) => {
  await using registry = await startRegistry();
  await using client = makeRegistryClient();
  const directory = await mkdtemp(join(tmpdir(), "slipway-layout-"));
  t.after(() => rm(directory, { recursive: true }));
  await writeTinyLayout(makeTinyImage(), directory);
  const copy = (format: string) =>
    run("skopeo", [
      "copy",
      "--dest-tls-verify=false",
      "--format",
      format,
      `oci:${directory}:latest`,
      `docker://${registry.host}/docker:${format}`,
    ]);
  await copy("v2s2");
  const { descriptor } = await client.resolveManifest(parseImageReference(`${registry.host}/docker:v2s2`));
  assert.equal(descriptor.mediaType, MEDIA_TYPE.dockerManifest);
  await copy("v2s1");
  await assert.rejects(
    client.resolveManifest(parseImageReference(`${registry.host}/docker:v2s1`)),
    (error) => {
      assert.ok(error instanceof BuildError);
      assert.equal(error.code, "unsupported");
      assert.match(error.message, /schema 1/);
      return true;
    },
  );
});

test("pushBlob() sends nothing that is there, and counts what it sends", { skip }, async () => {
  await using registry = await startRegistry();
  await using client = makeRegistryClient();
  const reference = parseImageReference(`${registry.host}/x`);
  const { descriptor, bytes } = makeTinyImage(300_000).layer;
  assert.equal(await client.hasBlob(reference, descriptor.digest), false);
  const progress: number[] = [];
  const pieces = () => Readable.from([bytes.subarray(0, 100_000), bytes.subarray(100_000)]);
  const onProgress = (done: number) => progress.push(done);
  assert.equal(await client.pushBlob(reference, descriptor, pieces, { onProgress }), "pushed");
  assert.deepEqual(progress, [100_000, bytes.length]);
  assert.equal(await client.hasBlob(reference, descriptor.digest), true);
  assert.equal(await client.pushBlob(reference, descriptor, () => assert.fail("it is there")), "existed");
});

test("pushBlob() takes an empty blob", { skip }, async () => {
  await using registry = await startRegistry();
  await using client = makeRegistryClient();
  const reference = parseImageReference(`${registry.host}/x`);
  const empty = { mediaType: MEDIA_TYPE.ociLayer, digest: digestBytes(""), size: 0 };
  await client.pushBlob(reference, empty, () => Readable.from([]));
  assert.equal(await client.hasBlob(reference, empty.digest), true);
  assert.deepEqual(await readAll(client.openBlob(reference, empty)), Buffer.alloc(0));
});

test("pushBlob() leaves nothing behind when its source fails or has the wrong size", { skip }, async () => {
  await using registry = await startRegistry();
  await using client = makeRegistryClient();
  const reference = parseImageReference(`${registry.host}/x`);
  const { descriptor, bytes } = makeTinyImage(5000).layer;
  const failing = async function* () {
    yield bytes.subarray(0, 1000);
    throw new Error("the disk is gone");
  };
  await assert.rejects(client.pushBlob(reference, descriptor, failing), /^Error: the disk is gone$/);
  for (const wrong of [bytes.subarray(1), Buffer.concat([bytes, bytes])]) {
    await assert.rejects(
      client.pushBlob(reference, descriptor, streamOf(wrong)),
      (error) => error instanceof BuildError && error.code === "verification" && /bytes/.test(error.message),
    );
  }
  const lies = Buffer.from(bytes);
  lies[600]! ^= 1;
  await assert.rejects(
    client.pushBlob(reference, descriptor, streamOf(lies)),
    (error) =>
      error instanceof BuildError && error.code === "registry" && /DIGEST_INVALID/.test(error.message),
  );
  assert.equal(await client.hasBlob(reference, descriptor.digest), false);
});

test("mountBlob() borrows from another repository, and says when it cannot", { skip }, async () => {
  await using registry = await startRegistry();
  await using client = makeRegistryClient();
  const [from, to] = ["from", "to"].map((name) => parseImageReference(`${registry.host}/${name}`));
  const { descriptor, bytes } = makeTinyImage().layer;
  assert.equal(await client.mountBlob(to!, descriptor.digest, "from"), false);
  await client.pushBlob(from!, descriptor, streamOf(bytes));
  assert.equal(await client.mountBlob(to!, descriptor.digest, "from"), true);
  assert.deepEqual(await readAll(client.openBlob(to!, descriptor)), Buffer.from(bytes));
  // The first one had begun an upload, which must have been taken back.
  assert.match(await readFile(registry.logPath, "utf8"), /DELETE \/v2\/to\/blobs\/uploads\//);
});

test("basic authentication: with, without and with wrong credentials", { skip }, async () => {
  await using registry = await startRegistry({ htpasswd: true });
  const reference = parseImageReference(`${registry.host}/x:1`);
  const image = makeTinyImage();
  const asked: string[] = [];
  await using client = makeRegistryClient({
    credentials: async (host) => {
      asked.push(host);
      return { kind: "password", username: "tester", password: "secret" };
    },
  });
  await pushImage(client, reference, image);
  assert.deepEqual((await client.resolveManifest(reference)).descriptor, image.descriptor);
  assert.deepEqual(asked, [registry.host]);

  await using anonymous = makeRegistryClient();
  await assert.rejects(anonymous.resolveManifest(reference), {
    code: "authentication",
    message: `Cannot pull "${registry.host}/x:1": registry ${registry.host} answered 401 unauthorized (UNAUTHORIZED: authentication required)`,
    hint: `Check the name, or log in with: slipway login ${registry.host}`,
  });
  await using wrong = makeRegistryClient({
    credentials: async () => ({ kind: "password", username: "tester", password: "wrong" }),
  });
  await assert.rejects(
    wrong.pushBlob(reference, image.layer.descriptor, streamOf(image.layer.bytes)),
    (error) =>
      error instanceof BuildError &&
      error.code === "authentication" &&
      /refuses the stored credentials/.test(error.hint ?? ""),
  );
});

test("what is not there is called by its name", { skip }, async () => {
  await using registry = await startRegistry();
  await using client = makeRegistryClient();
  const reference = parseImageReference(`${registry.host}/x:1`);
  await assert.rejects(client.resolveManifest(reference), {
    code: "image-not-found",
    message: `Cannot pull "${registry.host}/x:1": registry ${registry.host} has no such manifest: it answered 404 not found (MANIFEST_UNKNOWN: manifest unknown)`,
  });
  assert.equal(await client.headManifest(reference), undefined);
  const { descriptor } = makeTinyImage().layer;
  await assert.rejects(readAll(client.openBlob(reference, descriptor)), (error) => {
    assert.ok(error instanceof BuildError);
    assert.equal(error.code, "registry");
    assert.match(error.message, /has no such blob/);
    return true;
  });
  // A manifest whose blobs were not pushed.
  const image = makeTinyImage();
  await assert.rejects(
    client.pushManifest(reference, image.descriptor.mediaType, image.manifest),
    (error) => {
      assert.ok(error instanceof BuildError);
      assert.match(error.message, /MANIFEST_BLOB_UNKNOWN/);
      return true;
    },
  );
});

test("a registry that is not there is named", async () => {
  await using client = makeRegistryClient();
  await assert.rejects(client.resolveManifest(parseImageReference("127.0.0.1:1/x")), {
    code: "registry",
    message: 'Cannot pull "127.0.0.1:1/x:latest": registry 127.0.0.1:1 refuses the connection',
    hint: "Is the registry running, and is the port right? (Tried 127.0.0.1:1)",
  });
  await assert.rejects(client.resolveManifest(parseImageReference("registry.invalid/x")), (error) => {
    assert.ok(error instanceof BuildError);
    assert.equal(error.code, "registry");
    assert.match(error.message, /registry\.invalid is not known to the name server/);
    return true;
  });
});

test("a signal stops a transfer with its reason", { skip }, async () => {
  await using registry = await startRegistry();
  await using client = makeRegistryClient();
  const reference = parseImageReference(`${registry.host}/x`);
  const { descriptor, bytes } = makeTinyImage(3_000_000).layer;
  await client.pushBlob(reference, descriptor, streamOf(bytes));
  const controller = new AbortController();
  const reading = async () => {
    for await (const _ of client.openBlob(reference, descriptor, { signal: controller.signal })) {
      controller.abort(new Error("enough"));
    }
  };
  await assert.rejects(reading, /^Error: enough$/);
  await assert.rejects(client.resolveManifest(reference, { signal: controller.signal }), /^Error: enough$/);
  await assert.rejects(
    client.pushBlob(parseImageReference(`${registry.host}/y`), descriptor, streamOf(bytes), {
      signal: controller.signal,
    }),
    /^Error: enough$/,
  );
});
