import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { type Fault, startFaultProxy } from "../../test/start-fault-proxy.ts";
import { registryMissing, startRegistry } from "../../test/start-registry.ts";
import { makeTinyImage } from "../../test/tiny-image.ts";
import { BuildError } from "../errors/build-error.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import { MEDIA_TYPE } from "../oci/media-type.ts";
import { parseImageReference } from "../oci/reference.ts";
import { makeRegistryClient } from "./registry-client.ts";

// A real registry behind a proxy that misbehaves: what the client makes of it when it reads.

const skip = registryMissing;
const retries = { count: 3, delayMs: 10 };
const image = makeTinyImage(2_000_000);
const { layer } = image;

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function startFilledRegistry() {
  const registry = await startRegistry();
  await using client = makeRegistryClient();
  const reference = parseImageReference(`${registry.host}/x:1`);
  for (const { descriptor, bytes } of [image.config, layer]) {
    await client.pushBlob(reference, descriptor, () => Readable.from([bytes]));
  }
  await client.pushManifest(reference, image.descriptor.mediaType, image.manifest);
  return registry;
}

/** Gives out the faults one by one to the requests that match, then none. */
function faultsFor(method: string, path: RegExp, faults: readonly Fault[]) {
  const left = [...faults];
  return (request: { method: string; path: string }) =>
    request.method === method && path.test(request.path) ? left.shift() : undefined;
}

const isVerification = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof BuildError, String(error));
  assert.equal(error.code, "verification");
  assert.match(error.message, pattern);
  return true;
};

test("a download that breaks off goes on where it broke", { skip }, async () => {
  await using registry = await startFilledRegistry();
  await using proxy = await startFaultProxy(
    registry.host,
    faultsFor("GET", /blobs/, [
      { kind: "cut-answer", afterBytes: 700_000 },
      { kind: "cut-answer", afterBytes: 600_000 },
    ]),
  );
  await using client = makeRegistryClient({ retries });
  const progress: number[] = [];
  const bytes = await readAll(
    client.openBlob(parseImageReference(`${proxy.host}/x`), layer.descriptor, {
      onProgress: (done) => progress.push(done),
    }),
  );
  assert.equal(digestBytes(bytes), layer.descriptor.digest);
  assert.equal(progress.at(-1), layer.descriptor.size);
  const ranges = proxy.requests.filter((r) => /blobs/.test(r.path)).map((r) => r.headers.range);
  assert.deepEqual(ranges, [undefined, "bytes=700000-", "bytes=1300000-"]);
});

test("a server that ignores ranges is read again from the start", { skip }, async () => {
  await using registry = await startFilledRegistry();
  let count = 0;
  await using proxy = await startFaultProxy(registry.host, (request) => {
    if (!/blobs/.test(request.path)) return undefined;
    // The proxy passes this very object on, so the registry never sees the range.
    delete request.headers.range;
    return count++ === 0 ? { kind: "cut-answer", afterBytes: 700_000 } : undefined;
  });
  await using client = makeRegistryClient({ retries });
  const bytes = await readAll(client.openBlob(parseImageReference(`${proxy.host}/x`), layer.descriptor));
  assert.equal(digestBytes(bytes), layer.descriptor.digest);
  assert.equal(count, 2);
});

test("a download that always breaks off is given up", { skip }, async () => {
  await using registry = await startFilledRegistry();
  await using proxy = await startFaultProxy(registry.host, ({ path }) =>
    /blobs/.test(path) ? { kind: "cut-answer", afterBytes: 1000 } : undefined,
  );
  await using client = makeRegistryClient({ retries });
  const reading = readAll(client.openBlob(parseImageReference(`${proxy.host}/x`), layer.descriptor));
  await assert.rejects(reading, (error) => {
    assert.ok(error instanceof BuildError);
    assert.equal(error.code, "registry");
    assert.ok(error.message.includes(`the connection to registry ${proxy.host} failed`), error.message);
    return true;
  });
  assert.equal(proxy.requests.filter(({ path }) => /blobs/.test(path)).length, 1 + retries.count);
});

test("wrong bytes, a wrong length and a short answer are refused", { skip }, async () => {
  await using registry = await startFilledRegistry();
  const cases: readonly (readonly [Fault, RegExp])[] = [
    [
      {
        kind: "change",
        body: (bytes) => {
          const copy = Buffer.from(bytes);
          copy[1000]! ^= 1;
          return copy;
        },
      },
      /have the digest sha256:/,
    ],
    [{ kind: "change", body: (bytes) => bytes.subarray(1) }, /has \d+ bytes, and \d+ were promised/],
    // Without a length the end of the body is all there is to go by.
    [
      {
        kind: "change",
        body: (bytes) => Buffer.concat([bytes, Buffer.from("x")]),
        headers: { "content-length": undefined, "transfer-encoding": "chunked" },
      },
      /sends more than/,
    ],
  ];
  for (const [fault, message] of cases) {
    await using proxy = await startFaultProxy(registry.host, ({ path }) =>
      /blobs/.test(path) ? fault : undefined,
    );
    await using client = makeRegistryClient({ retries });
    const reading = readAll(client.openBlob(parseImageReference(`${proxy.host}/x`), layer.descriptor));
    await assert.rejects(reading, isVerification(message));
    assert.equal(
      proxy.requests.filter(({ path }) => /blobs/.test(path)).length,
      1,
      "lies are not asked for again",
    );
  }
  await using proxy = await startFaultProxy(registry.host, ({ path }) =>
    /blobs/.test(path)
      ? {
          kind: "change",
          body: (bytes) => bytes.subarray(0, 10),
          headers: {
            "content-length": undefined,
            "content-range": undefined,
            "transfer-encoding": "chunked",
          },
        }
      : undefined,
  );
  await using client = makeRegistryClient({ retries: { count: 0, delayMs: 1 } });
  await assert.rejects(
    readAll(client.openBlob(parseImageReference(`${proxy.host}/x`), layer.descriptor)),
    isVerification(/sent 10 bytes of/),
  );
});

test("a manifest that is not what it should be is refused", { skip }, async () => {
  await using registry = await startFilledRegistry();
  const json = (value: unknown) => () => Buffer.from(JSON.stringify(value));
  const noDigest = { "docker-content-digest": undefined };
  const { config } = image;
  const cases: readonly (readonly [Fault, string, RegExp])[] = [
    [
      { kind: "change", body: (b) => Buffer.concat([b, Buffer.from(" ")]) },
      "verification",
      /says that the manifest's digest is/,
    ],
    [
      { kind: "change", headers: noDigest, body: () => Buffer.from("<html>") },
      "verification",
      /is no JSON object/,
    ],
    [
      { kind: "change", headers: { ...noDigest, "content-type": MEDIA_TYPE.ociIndex } },
      "verification",
      /calls itself/,
    ],
    [
      {
        kind: "change",
        headers: { ...noDigest, "content-type": "application/json" },
        body: json({ schemaVersion: 2, config: config.descriptor, layers: [], manifests: [] }),
      },
      "verification",
      /an index and an image at the same time/,
    ],
    [
      {
        kind: "change",
        headers: { ...noDigest, "content-type": MEDIA_TYPE.ociIndex },
        body: json({ schemaVersion: 2 }),
      },
      "verification",
      /does not have the fields/,
    ],
    [
      { kind: "change", headers: { ...noDigest, "content-type": "text/html" }, body: json({ a: 1 }) },
      "unsupported",
      /"text\/html" is no image manifest/,
    ],
    [
      { kind: "change", headers: noDigest, body: () => Buffer.alloc(4 * 1024 * 1024 + 1, " ") },
      "input-limit",
      /its manifest is larger than the limit of 4 MiB \(manifest-size\)/,
    ],
    [
      {
        kind: "change",
        headers: { ...noDigest, "content-length": undefined, "transfer-encoding": "chunked" },
        body: () => Buffer.alloc(6 * 1024 * 1024, " "),
      },
      "input-limit",
      /its manifest is larger than the limit of 4 MiB \(manifest-size\)/,
    ],
  ];
  for (const [fault, code, message] of cases) {
    await using proxy = await startFaultProxy(registry.host, ({ path }) =>
      /manifests/.test(path) ? fault : undefined,
    );
    await using client = makeRegistryClient({ retries });
    await assert.rejects(client.resolveManifest(parseImageReference(`${proxy.host}/x:1`)), (error) => {
      assert.ok(error instanceof BuildError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      return true;
    });
  }
  // Asked for by digest, other bytes are refused whatever the header says.
  const other = Buffer.from(JSON.stringify({ schemaVersion: 2, config: config.descriptor, layers: [] }));
  await using proxy = await startFaultProxy(registry.host, ({ path }) =>
    /manifests/.test(path)
      ? { kind: "change", headers: { "docker-content-digest": digestBytes(other) }, body: () => other }
      : undefined,
  );
  await using client = makeRegistryClient({ retries });
  await assert.rejects(
    client.resolveManifest(parseImageReference(`${proxy.host}/x@${image.descriptor.digest}`)),
    isVerification(/sent a manifest with the digest/),
  );
});

test("a manifest without a useful content type is known by itself", { skip }, async () => {
  await using registry = await startFilledRegistry();
  await using proxy = await startFaultProxy(registry.host, ({ method }) => ({
    kind: "change",
    headers: {
      "content-type": "text/plain",
      ...(method === "HEAD" ? { "docker-content-digest": undefined } : {}),
    },
  }));
  await using client = makeRegistryClient({ retries });
  const reference = parseImageReference(`${proxy.host}/x:1`);
  assert.deepEqual((await client.resolveManifest(reference)).descriptor, image.descriptor);
  assert.deepEqual(await client.headManifest(reference), image.descriptor);
});

test("429, 5xx, resets and manifests cut short are waited out, with the patience that is asked for", {
  skip,
}, async () => {
  await using registry = await startFilledRegistry();
  await using proxy = await startFaultProxy(
    registry.host,
    faultsFor("GET", /manifests/, [
      { kind: "answer", status: 429, headers: { "retry-after": "1" } },
      { kind: "answer", status: 503 },
      { kind: "reset" },
      { kind: "cut-answer", afterBytes: 100 },
    ]),
  );
  await using client = makeRegistryClient({ retries });
  const begin = Date.now();
  const { descriptor } = await client.resolveManifest(parseImageReference(`${proxy.host}/x:1`));
  assert.deepEqual(descriptor, image.descriptor);
  assert.ok(Date.now() - begin >= 1000, "Retry-After counts");
  assert.equal(proxy.requests.filter(({ path }) => /manifests/.test(path)).length, 5);
});

test("what does not pass is told with the registry's words", { skip }, async () => {
  const cases: readonly (readonly [number, string, RegExp])[] = [
    [
      429,
      '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow \\u001b[31mdown"}]}',
      /429 too many requests \(TOOMANYREQUESTS: slow \[31mdown\)$/,
    ],
    [500, "<html>oops</html>", /500 internal server error$/],
    [502, "upstream is away\nmore", /502 bad gateway \(upstream is away\)$/],
    [418, '{"message":"a teapot"}', /418 \(a teapot\)$/],
  ];
  for (const [status, body, message] of cases) {
    await using proxy = await startFaultProxy(undefined, ({ path }) => ({
      kind: "answer",
      status: path === "/v2/" ? 200 : status,
      body,
    }));
    await using client = makeRegistryClient({ retries: { count: 1, delayMs: 1 } });
    await assert.rejects(client.resolveManifest(parseImageReference(`${proxy.host}/x:1`)), (error) => {
      assert.ok(error instanceof BuildError);
      assert.equal(error.code, "registry");
      assert.match(error.message, message);
      return true;
    });
  }
});

test("credentials do not follow a redirect to another host, and the bytes come from there", {
  skip,
}, async () => {
  // Text, for that is what the answer of a proxy holds.
  const ascii = Buffer.alloc(5000, "x");
  const descriptor = { mediaType: MEDIA_TYPE.ociLayer, digest: digestBytes(ascii), size: ascii.length };
  await using elsewhere = await startFaultProxy(undefined, () => ({
    kind: "answer",
    status: 200,
    body: ascii.toString(),
  }));
  await using registry = await startRegistry({ htpasswd: true });
  await using proxy = await startFaultProxy(registry.host, ({ method, path }) =>
    method === "GET" && /blobs\/sha256/.test(path)
      ? { kind: "answer", status: 307, headers: { location: `http://${elsewhere.host}/data?signature=1` } }
      : undefined,
  );
  await using client = makeRegistryClient({
    retries,
    credentials: async () => ({ kind: "password", username: "tester", password: "secret" }),
  });
  const reference = parseImageReference(`${proxy.host}/x`);
  await client.pushBlob(reference, descriptor, () => Readable.from([ascii]));
  assert.deepEqual(await readAll(client.openBlob(reference, descriptor)), ascii);
  assert.equal(elsewhere.requests.length, 1);
  assert.equal(elsewhere.requests[0]!.path, "/data?signature=1");
  assert.equal(elsewhere.requests[0]!.headers.authorization, undefined);
  assert.ok(proxy.requests.some(({ headers }) => headers.authorization?.startsWith("Basic ")));
});

test("a 401 from another host does not draw the credentials out", { skip }, async () => {
  await using elsewhere = await startFaultProxy(undefined, () => ({
    kind: "answer",
    status: 401,
    headers: { "www-authenticate": 'Basic realm="give me"' },
  }));
  await using proxy = await startFaultProxy(undefined, ({ path }) =>
    path === "/v2/"
      ? { kind: "answer", status: 200 }
      : { kind: "answer", status: 302, headers: { location: `http://${elsewhere.host}/` } },
  );
  await using client = makeRegistryClient({
    retries,
    credentials: async () => ({ kind: "password", username: "tester", password: "secret" }),
  });
  await assert.rejects(client.resolveManifest(parseImageReference(`${proxy.host}/x`)), {
    code: "authentication",
  });
  assert.deepEqual(
    elsewhere.requests.map(({ headers }) => headers.authorization),
    [undefined],
  );
});

test("redirects in a circle and to nowhere end", async () => {
  for (const [location, message] of [
    ["/v2/x/manifests/latest", /redirects more than 10 times/],
    ["file:///etc/passwd", /is no HTTP address/],
  ] as const) {
    await using proxy = await startFaultProxy(undefined, ({ path }) =>
      path === "/v2/"
        ? { kind: "answer", status: 200 }
        : { kind: "answer", status: 302, headers: { location } },
    );
    await using client = makeRegistryClient({ retries });
    await assert.rejects(client.resolveManifest(parseImageReference(`${proxy.host}/x`)), { message });
  }
});
