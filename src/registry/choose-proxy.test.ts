import assert from "node:assert/strict";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificates, opensslMissing } from "../../test/make-certificates.ts";
import { startForwardProxy } from "../../test/start-forward-proxy.ts";
import { registryMissing, startRegistry } from "../../test/start-registry.ts";
import { parseImageReference } from "../oci/reference.ts";
import { chooseProxy } from "./choose-proxy.ts";
import { makeRegistryClient } from "./registry-client.ts";

// Expected values: the documentation of golang.org/x/net/http/httpproxy.
test("chooseProxy() reads the usual variables as Go programs do", () => {
  const all = { HTTPS_PROXY: "http://p:1", http_proxy: "q:2" };
  const cases: readonly (readonly [url: string, noProxy: string, proxy: string | undefined])[] = [
    ["https://a.b", "", "http://p:1"],
    ["http://a.b", "", "http://q:2"],
    ["https://localhost", "", undefined],
    ["https://127.0.0.2:5000", "", undefined],
    ["http://[::1]:5000", "", undefined],
    ["https://a.b", "a.b", undefined],
    ["https://x.a.b", "a.b", undefined],
    ["https://xa.b", "a.b", "http://p:1"],
    ["https://a.b", ".a.b", "http://p:1"],
    ["https://x.a.b", ".a.b", undefined],
    ["https://x.a.b", "*.a.b", undefined],
    ["https://a.b:5000", "a.b:5000", undefined],
    ["https://a.b", "a.b:5000", "http://p:1"],
    ["https://a.b", "a.b:443", undefined],
    ["https://10.1.2.3", "10.0.0.0/8", undefined],
    ["https://11.1.2.3", "10.0.0.0/8", "http://p:1"],
    ["https://a.b", "c.d, A.B", undefined],
    ["https://a.b", "*", undefined],
  ];
  for (const [url, noProxy, proxy] of cases) {
    assert.equal(chooseProxy(new URL(url), { ...all, NO_PROXY: noProxy }), proxy, `${url} with ${noProxy}`);
  }
  assert.equal(chooseProxy(new URL("https://a.b"), {}), undefined);
});

test("requests go through the proxy: plain ones as they are, TLS by a tunnel", {
  skip: registryMissing,
}, async () => {
  await using registry = await startRegistry();
  await using proxy = await startForwardProxy({ "registry.test:80": registry.host });
  await using client = makeRegistryClient({
    insecureRegistries: ["registry.test"],
    retries: { count: 0, delayMs: 1 },
    environment: { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url },
  });
  await assert.rejects(client.resolveManifest(parseImageReference("registry.test/x")), {
    code: "image-not-found",
  });
  assert.deepEqual(proxy.seen, [
    "CONNECT registry.test:443",
    "GET http://registry.test/v2/",
    "GET http://registry.test/v2/x/manifests/latest",
  ]);
});

test("TLS through a proxy's tunnel is verified against the registry's name", {
  skip: registryMissing || opensslMissing,
}, async () => {
  await using certificates = await makeCertificates();
  await using registry = await startRegistry({ tls: certificates.server });
  await using proxy = await startForwardProxy({ "registry.test:443": registry.host });
  const parent = join(certificates.directory, "certs.d");
  await mkdir(join(parent, "registry.test"), { recursive: true });
  await copyFile(certificates.authority, join(parent, "registry.test/ca.crt"));
  const options = { retries: { count: 0, delayMs: 1 }, environment: { https_proxy: proxy.url } };
  const reference = parseImageReference("registry.test/x");
  await using client = makeRegistryClient({ ...options, certificateDirectories: [parent] });
  await assert.rejects(client.resolveManifest(reference), { code: "image-not-found" });
  await using untrusting = makeRegistryClient({ ...options, certificateDirectories: [] });
  await assert.rejects(untrusting.resolveManifest(reference), /is not trusted/);
  assert.deepEqual(proxy.seen, ["CONNECT registry.test:443", "CONNECT registry.test:443"]);
});
