import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { makeCertificates, opensslMissing } from "../../test/make-certificates.ts";
import { startFaultProxy } from "../../test/start-fault-proxy.ts";
import { registryMissing } from "../../test/start-registry.ts";
import { makeToken, startTokenRegistry, startTokenService, TESTER } from "../../test/start-token-service.ts";
import { makeTinyImage } from "../../test/tiny-image.ts";
import { BuildError } from "../errors/build-error.ts";
import { parseImageReference } from "../oci/reference.ts";
import type { Credentials } from "./credentials.ts";
import { makeRegistryClient } from "./registry-client.ts";

// Debian's registry asks for bearer tokens; the token service is this test's, its tokens are what the registry verifies.

const skip = registryMissing || opensslMissing;
const retries = { count: 1, delayMs: 1 };
const image = makeTinyImage();
const tester: Credentials = { kind: "password", username: "tester", password: "secret" };

test("bearer tokens: one for each scope, shared by all requests", { skip }, async () => {
  await using certificates = await makeCertificates();
  await using service = await startTokenService(certificates);
  await using registry = await startTokenRegistry(service, certificates);
  const reference = parseImageReference(`${registry.host}/a/b:1`);
  await using client = makeRegistryClient({ retries, credentials: async () => tester });
  await Promise.all(
    [image.config, image.layer].map(({ descriptor, bytes }) =>
      client.pushBlob(reference, descriptor, () => Readable.from([bytes])),
    ),
  );
  await client.pushManifest(reference, image.descriptor.mediaType, image.manifest);
  assert.deepEqual(
    service.asked.map(({ scopes, authorization }) => ({ scopes, authorization })),
    [{ scopes: ["repository:a/b:pull,push"], authorization: TESTER }],
  );

  // A mount needs both repositories in one token.
  const other = parseImageReference(`${registry.host}/c`);
  assert.equal(await client.mountBlob(other, image.layer.descriptor.digest, "a/b"), true);
  assert.deepEqual(service.asked.at(-1)?.scopes, ["repository:c:pull,push", "repository:a/b:pull"]);

  // Anonymous: reads, and is refused when it writes.
  await using anonymous = makeRegistryClient({ retries });
  const { descriptor } = await anonymous.resolveManifest(reference);
  assert.deepEqual(descriptor, image.descriptor);
  assert.equal(service.asked.at(-1)?.authorization, undefined);
  await assert.rejects(
    anonymous.pushManifest(reference, image.descriptor.mediaType, image.manifest),
    (error) => error instanceof BuildError && error.code === "authentication",
  );
});

test("a token that has expired is replaced", { skip }, async () => {
  await using certificates = await makeCertificates();
  await using service = await startTokenService(certificates);
  await using registry = await startTokenRegistry(service, certificates);
  const reference = parseImageReference(`${registry.host}/a`);
  await using client = makeRegistryClient({ retries, credentials: async () => tester });
  // Long past, as for a client whose clock is wrong: it believes in 60 seconds, the registry does not.
  service.lifetimeSeconds = -3600;
  await assert.rejects(client.hasBlob(reference, image.layer.descriptor.digest), { code: "authentication" });
  const inVain = service.asked.length;
  assert.ok(inVain >= 2 && inVain <= 3, `asked ${inVain} times`);
  service.lifetimeSeconds = 300;
  assert.equal(await client.hasBlob(reference, image.layer.descriptor.digest), false);
});

test("an identity token is exchanged, a registry token is used as it is", { skip }, async () => {
  await using certificates = await makeCertificates();
  await using service = await startTokenService(certificates);
  await using registry = await startTokenRegistry(service, certificates);
  const reference = parseImageReference(`${registry.host}/a`);
  const { layer } = image;
  const push = async (credentials: Credentials) => {
    await using client = makeRegistryClient({ retries, credentials: async () => credentials });
    return client.pushBlob(reference, layer.descriptor, () => Readable.from([layer.bytes]));
  };
  assert.equal(await push({ kind: "identity-token", identityToken: "refresh" }), "pushed");
  assert.equal(service.asked.at(-1)?.method, "POST");
  const form = new URLSearchParams(service.asked.at(-1)?.form);
  assert.equal(form.get("grant_type"), "refresh_token");
  assert.equal(form.get("service"), "registry");

  const count = service.asked.length;
  const scopes = ["repository:a:pull,push"];
  const registryToken = await makeToken(certificates, { scopes, isTester: true, lifetimeSeconds: 60 });
  assert.equal(await push({ kind: "registry-token", registryToken }), "existed");
  assert.equal(service.asked.length, count);
});

test("a token service that refuses is told from a registry that refuses", { skip }, async () => {
  await using certificates = await makeCertificates();
  await using service = await startTokenService(certificates);
  await using registry = await startTokenRegistry(service, certificates);
  await using client = makeRegistryClient({
    retries,
    credentials: async () => ({ ...tester, password: "wrong" }) as Credentials,
  });
  await assert.rejects(client.resolveManifest(parseImageReference(`${registry.host}/a`)), {
    code: "authentication",
    message: `Cannot get a token for registry "${registry.host}" from "${new URL(service.realm).origin}": host ${new URL(service.realm).host} answered 401 unauthorized (UNAUTHORIZED: bad password)`,
    hint: `The registry refuses the stored credentials. Log in again with: slipway login ${registry.host}`,
  });
});

test("a token service that is not there, or not safe, or without a token", async () => {
  const cases: readonly (readonly [realm: string, message: RegExp])[] = [
    ["http://127.0.0.1:1/token", /refuses the connection/],
    ["ftp://127.0.0.1/", /is no HTTPS address/],
    ["", /is no HTTPS address/],
    ["SELF", /its answer has no token/],
  ];
  for (const [realm, message] of cases) {
    await using proxy = await startFaultProxy(undefined, ({ path, headers }) => {
      if (path === "/v2/") return { kind: "answer", status: 200 };
      if (path.startsWith("/token")) return { kind: "answer", status: 200, body: '{"no":1}' };
      const address = realm === "SELF" ? `http://${headers.host}/token` : realm;
      return {
        kind: "answer",
        status: 401,
        headers: { "www-authenticate": `Bearer realm="${address}",service="x"` },
      };
    });
    await using client = makeRegistryClient({ retries });
    await assert.rejects(client.resolveManifest(parseImageReference(`${proxy.host}/a`)), { message });
  }
});

test("a registry that never has enough is asked only so often", async () => {
  await using proxy = await startFaultProxy(undefined, ({ path, headers }) => {
    if (path === "/v2/") return { kind: "answer", status: 200 };
    if (path.startsWith("/token")) return { kind: "answer", status: 200, body: '{"token":"t"}' };
    return {
      kind: "answer",
      status: 401,
      headers: { "www-authenticate": `Bearer realm="http://${headers.host}/token",service="x"` },
    };
  });
  await using client = makeRegistryClient({ retries });
  await assert.rejects(client.resolveManifest(parseImageReference(`${proxy.host}/a`)), {
    code: "authentication",
  });
  assert.ok(proxy.requests.length < 8, `${proxy.requests.length} requests`);
});
