import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFile, mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificates, opensslMissing } from "../../test/make-certificates.ts";
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

test("requests go through the proxy: plain ones as they are, TLS by a tunnel", async () => {
  const seen: string[] = [];
  const proxy = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.writeHead(request.url?.endsWith("/v2/") ? 200 : 404).end();
  });
  proxy.on("connect", (request, socket) => {
    seen.push(`CONNECT ${request.url}`);
    socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  try {
    await using client = makeRegistryClient({
      insecureRegistries: ["registry.invalid"],
      retries: { count: 0, delayMs: 1 },
      environment: { HTTP_PROXY: address, HTTPS_PROXY: address },
    });
    await assert.rejects(client.resolveManifest(parseImageReference("registry.invalid/x")), {
      code: "image-not-found",
    });
    assert.deepEqual(seen, [
      "CONNECT registry.invalid:443",
      "GET http://registry.invalid/v2/",
      "GET http://registry.invalid/v2/x/manifests/latest",
    ]);
  } finally {
    proxy.close();
    proxy.closeAllConnections();
  }
});

test("TLS through a proxy's tunnel is verified against the registry's name", {
  skip: registryMissing || opensslMissing,
}, async () => {
  await using certificates = await makeCertificates();
  await using registry = await startRegistry({ tls: certificates.server });
  const tunnels: string[] = [];
  const proxy = createServer().on("connect", (request, socket) => {
    tunnels.push(request.url ?? "");
    // The name exists only here: the client must leave it to the proxy to look it up.
    const upstream = connect(Number(registry.host.split(":")[1]), "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(upstream).pipe(socket);
    });
    upstream.on("error", () => socket.destroy());
    socket.on("error", () => upstream.destroy());
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const parent = join(certificates.directory, "certs.d");
  await mkdir(join(parent, "registry.test"), { recursive: true });
  await copyFile(certificates.authority, join(parent, "registry.test/ca.crt"));
  const options = {
    retries: { count: 0, delayMs: 1 },
    environment: { https_proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` },
  };
  const reference = parseImageReference("registry.test/x");
  try {
    await using client = makeRegistryClient({ ...options, certificateDirectories: [parent] });
    await assert.rejects(client.resolveManifest(reference), { code: "image-not-found" });
    await using untrusting = makeRegistryClient({ ...options, certificateDirectories: [] });
    await assert.rejects(untrusting.resolveManifest(reference), /is not trusted/);
    assert.deepEqual(tunnels, ["registry.test:443", "registry.test:443"]);
  } finally {
    proxy.close();
    proxy.closeAllConnections();
  }
});
