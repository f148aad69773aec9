import assert from "node:assert/strict";
import { test } from "node:test";
import { isLoopback, listRegistryOrigins } from "./registry-host.ts";

test("listRegistryOrigins() follows docker's rule for insecure registries", () => {
  const list = (host: string, options = {}) =>
    listRegistryOrigins(host, options).map(({ url, verifyTls }) => `${verifyTls ? "" : "?"}${url.origin}`);
  assert.deepEqual(list("docker.io"), ["https://registry-1.docker.io"]);
  assert.deepEqual(list("r.example:5000"), ["https://r.example:5000"]);
  const insecure = ["?https://r.example:5000", "?http://r.example:5000"];
  assert.deepEqual(list("r.example:5000", { insecureRegistries: ["r.example:5000"] }), insecure);
  assert.deepEqual(list("r.example:5000", { tlsVerify: false }), insecure);
  assert.deepEqual(list("r.example", { insecureRegistries: ["r.example:5000"] }), ["https://r.example"]);
  assert.deepEqual(list("localhost:5000"), ["?http://localhost:5000", "?https://localhost:5000"]);
  assert.deepEqual(list("[::1]:5000"), ["?http://[::1]:5000", "?https://[::1]:5000"]);
  assert.deepEqual(list("localhost"), ["?https://localhost", "?http://localhost"]);
  assert.deepEqual(list("127.0.0.1:5000", { tlsVerify: true }), ["https://127.0.0.1:5000"]);
});

test("isLoopback() is not fooled by names", () => {
  for (const host of ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]) {
    assert.ok(isLoopback(host), host);
  }
  for (const host of [
    "localhost.example",
    "127.0.0.1.example",
    "128.0.0.1",
    "notlocalhost",
    "::2",
    "0.0.0.0",
  ]) {
    assert.ok(!isLoopback(host), host);
  }
});
