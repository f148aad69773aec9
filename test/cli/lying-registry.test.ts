import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { digestBytes } from "../../src/oci/digest-bytes.ts";
import { MEDIA_TYPE } from "../../src/oci/media-type.ts";
import { runSlipway, slipway } from "../slipway.ts";
import { type Fault, type SeenRequest, startFaultProxy } from "../start-fault-proxy.ts";
import { type RunningRegistry, registryMissing, startRegistry } from "../start-registry.ts";
import { makeTinyImage, writeTinyLayout } from "../tiny-image.ts";

// Registries that lie, as commands meet them: a clear error, and nothing changes.

const skip = registryMissing;
const work = mkdtempSync(join(tmpdir(), "slipway-lies-"));
after(() => rmSync(work, { recursive: true, force: true }));
const image = makeTinyImage(200_000);
let registry: RunningRegistry;
before(async () => {
  if (skip) return;
  registry = await startRegistry();
  const layout = join(work, "layout");
  await writeTinyLayout(image, layout);
  await slipway(["copy", "-q", `oci:${layout}`, `${registry.host}/app:1`], { root: join(work, "filling") });
});
after(() => registry?.[Symbol.asyncDispose]());

/** Pulls from, and copies from, a registry with that fault; both must say why they fail, and no name may be left. */
async function assertRefused(decide: (request: SeenRequest) => Fault | undefined, message: RegExp) {
  await using proxy = await startFaultProxy(registry.host, decide);
  const root = mkdtempSync(join(work, "store-"));
  const name = `${proxy.host}/app:1`;
  const quick = ["--retry=1", "--retry-delay=10ms"];
  for (const args of [
    ["pull", ...quick, name],
    ["copy", ...quick, name, `oci:${join(root, "copy")}`],
  ]) {
    const { code, stderr } = await runSlipway(args, { root });
    assert.equal(code, 1, stderr);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /bug in slipway/);
  }
  assert.equal((await slipway(["images", "-q"], { root })).stdout, "");
}

const layerAsked = ({ method, path }: SeenRequest) =>
  method === "GET" && path.endsWith(`/blobs/${image.layer.descriptor.digest}`);
const rootAsked = ({ path }: SeenRequest) => path.endsWith("/manifests/1");
const index = (digest: string, size = 500) =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.ociIndex,
    manifests: [
      { mediaType: MEDIA_TYPE.ociIndex, digest, size, platform: { os: "linux", architecture: "amd64" } },
    ],
  });
const indexAnswer = (body: string): Fault => ({
  kind: "answer",
  status: 200,
  headers: { "content-type": MEDIA_TYPE.ociIndex },
  body,
});

const flip = (bytes: Buffer) => {
  const wrong = Buffer.from(bytes);
  wrong[1000]! ^= 1;
  return wrong;
};

for (const [lie, fault, message] of [
  [
    "sends other bytes for a layer",
    { kind: "change", body: flip },
    /have the digest|Cannot use the layer ".*" of ".*\/app": its digest is/,
  ],
  [
    "sends a layer that is too short",
    { kind: "change", body: (bytes) => bytes.subarray(1) },
    /has \d+ bytes, and \d+ were promised/,
  ],
  [
    "sends a layer that is too long",
    {
      kind: "change",
      body: (bytes) => Buffer.concat([bytes, bytes]),
      headers: { "content-length": undefined },
    },
    /sends more than the \d+ bytes|were promised/,
  ],
  [
    "cuts a layer off each time",
    { kind: "cut-answer", afterBytes: 5000 },
    /connection to registry .* failed|sent \d+ bytes of/,
  ],
  ["breaks each connection", { kind: "reset" }, /the connection to registry .* failed/],
  ["answers 500 each time", { kind: "answer", status: 500 }, /answered 500 internal server error/],
] as const satisfies readonly (readonly [string, Fault, RegExp])[]) {
  test(`a registry that ${lie} is found out`, { skip }, () =>
    assertRefused((request) => (layerAsked(request) ? fault : undefined), message),
  );
}

test("an index that points to itself is found out", { skip }, async () => {
  const claimed = digestBytes(Buffer.from("a digest that nothing can have which names it"));
  await assertRefused(
    ({ path }) => (path.includes("/manifests/") ? indexAnswer(index(claimed)) : undefined),
    /sent a manifest with the digest sha256:/,
  );
});

test("indexes that lie in each other without end are given up", { skip }, async () => {
  const bodies = new Map<string, string>();
  let body = index(image.descriptor.digest);
  for (let depth = 0; depth < 10; depth++) {
    const digest = digestBytes(Buffer.from(body));
    bodies.set(digest, body);
    body = index(digest, body.length);
  }
  await assertRefused((request) => {
    if (rootAsked(request)) return indexAnswer(body);
    const found = bodies.get(request.path.split("/").at(-1)!);
    return found === undefined ? undefined : indexAnswer(found);
  }, /its indexes lie more than 4 deep in each other/);
});

test("a manifest of 2 GB is not read", { skip }, () =>
  assertRefused(
    (request) =>
      rootAsked(request)
        ? {
            kind: "answer",
            status: 200,
            headers: { "content-type": MEDIA_TYPE.ociManifest, "content-length": String(2 ** 31) },
            body: "{",
          }
        : undefined,
    /its manifest is larger than the limit of 4 MiB/,
  ),
);

test("a pull that fails leaves the image that had the name", { skip }, async () => {
  let isLying = false;
  await using proxy = await startFaultProxy(registry.host, (request) =>
    isLying && layerAsked(request) ? { kind: "change", body: flip } : undefined,
  );
  const root = mkdtempSync(join(work, "store-"));
  const name = `${proxy.host}/app:1`;
  writeFileSync(join(work, "Dockerfile"), "FROM scratch\nLABEL old=1\n");
  await slipway(["build", "-q", "-t", name, work], { root });
  isLying = true;
  assert.equal((await runSlipway(["pull", name], { root })).code, 1);
  const labels = ["inspect", "-f", "{{json .Config.Labels}}", name];
  assert.equal((await slipway(labels, { root })).stdout, '{"old":"1"}\n');
  isLying = false;
  await slipway(["pull", "-q", name], { root });
  assert.equal((await slipway(["ls", name], { root })).stdout, "hello\n");
});
