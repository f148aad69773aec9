import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { makeCertificates, opensslMissing } from "../make-certificates.ts";
import { runSlipway } from "../slipway.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

/* What is wrong with registries, and what people are told. */

const skip = registryMissing;
const work = mkdtempSync(join(tmpdir(), "slipway-registry-mistakes-"));
after(() => rmSync(work, { recursive: true, force: true }));

/** Builds `FROM image`, which fails; gives what is told. */
async function buildOn(image: string, ...args: readonly string[]) {
  const context = join(work, "context");
  mkdirSync(context, { recursive: true });
  writeFileSync(join(context, "Dockerfile"), `FROM ${image}\n`);
  const { code, stderr } = await runSlipway(["build", "-q", "--retry=0", ...args, context], {
    root: join(work, "store"),
    env: { XDG_CONFIG_HOME: join(work, "config"), HTTPS_PROXY: undefined, HTTP_PROXY: undefined },
  });
  assert.equal(code, 1, stderr);
  assert.match(stderr, /^Error: Cannot .*\n\n.*Dockerfile:1:\d+\n/);
  const [error = "", hint = ""] = stderr.split("\nHint: ");
  return { error, hint };
}

test("manifest unknown: the message says so, and which registry", { skip }, async () => {
  await using registry = await startRegistry();
  const { error } = await buildOn(`${registry.host}/a:1`);
  assert.match(
    error,
    /has no such (manifest|repository): it answered 404 not found \((MANIFEST|NAME)_UNKNOWN/,
  );
});

test("unauthorized: the hint says how to log in", { skip }, async () => {
  await using registry = await startRegistry({ htpasswd: true });
  const { error, hint } = await buildOn(`${registry.host}/a:1`);
  assert.match(error, /answered 401 unauthorized/);
  assert.ok(hint.includes(`log in with: slipway login ${registry.host}`), hint);
});

test("a registry that speaks plain HTTP: the hint says how to allow that", { skip }, async () => {
  await using registry = await startRegistry();
  const { error, hint } = await buildOn(`${registry.host}/a:1`, "--tls-verify");
  assert.match(error, /speaks plain HTTP, not HTTPS/);
  assert.match(hint, /--tls-verify=false/);
});

test("a certificate that nobody knows, and one that has expired: the hints are others", {
  skip: skip || opensslMissing,
}, async () => {
  await using certificates = await makeCertificates();
  await using unknown = await startRegistry({ tls: certificates.server });
  await using expired = await startRegistry({ tls: certificates.expired });
  const first = await buildOn(`${unknown.host}/a:1`, "--tls-verify");
  assert.match(first.error, /the certificate of registry .* is not trusted/);
  assert.doesNotMatch(first.error, /Node/);
  assert.match(first.hint, /Put its authority into/);
  const trusted = join(work, "certs");
  mkdirSync(trusted, { recursive: true });
  copyFileSync(certificates.authority, join(trusted, "ca.crt"));
  const second = await buildOn(`${expired.host}/a:1`, "--tls-verify", "--cert-dir", trusted);
  assert.match(second.error, /the certificate of registry .* has expired$/m);
  assert.match(second.hint, /must renew it, or the clock of this machine is wrong/);
});

test("a mirror whose port another program uses: the message names it", async () => {
  const server = createServer((_, response) => response.writeHead(404).end("<h1>Not here</h1>"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const { hint: direct } = await buildOn(`${host}/a:1`);
    assert.equal(direct, `What answers there may be no registry: check the host and the port of ${host}\n`);
    mkdirSync(join(work, "config/slipway"), { recursive: true });
    writeFileSync(
      join(work, "config/slipway/config.toml"),
      `[registry."no-such-host.invalid"]\nmirrors = ["${host}"]\n`,
    );
    const { error, hint } = await buildOn("no-such-host.invalid/a:1");
    assert.match(error, /the host of registry no-such-host\.invalid is not known/);
    assert.ok(hint.includes(`Before that: Cannot pull "${host}/a:1": `), hint);
  } finally {
    server.close();
  }
});
