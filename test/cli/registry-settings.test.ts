import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeCertificates, opensslMissing, type TestCertificates } from "../make-certificates.ts";
import { runSlipway } from "../slipway.ts";
import { startFaultProxy } from "../start-fault-proxy.ts";
import { startForwardProxy } from "../start-forward-proxy.ts";
import { type RunningRegistry, registryMissing, startRegistry } from "../start-registry.ts";
import { makeTinyImage, writeTinyLayout } from "../tiny-image.ts";

// What settings and options of registries do, at real ones.

const skip = registryMissing;
const work = mkdtempSync(join(tmpdir(), "slipway-registry-settings-"));
after(() => rmSync(work, { recursive: true, force: true }));
const layout = join(work, "layout");
const image = makeTinyImage();
before(() => writeTinyLayout(image, layout));

/** A user with a store, perhaps with settings, and with no proxies of the machine's. */
function makeUser(settings?: string) {
  const home = mkdtempSync(join(work, "home-"));
  mkdirSync(join(home, ".config/slipway"), { recursive: true });
  if (settings !== undefined) writeFileSync(join(home, ".config/slipway/config.toml"), settings);
  const noProxies = Object.fromEntries(
    ["http_proxy", "https_proxy", "no_proxy"].flatMap((name) => [
      [name, undefined],
      [name.toUpperCase(), undefined],
    ]),
  );
  const env = { ...noProxies, HOME: home, XDG_CONFIG_HOME: undefined, DOCKER_CONFIG: undefined };
  const call = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
    runSlipway(args, { root: join(home, "store"), cwd: home, env: { ...env, ...more } });
  return {
    home,
    async run(args: readonly string[], more?: Readonly<Record<string, string>>) {
      const { code, stdout, stderr } = await call(args, more);
      assert.equal(code, 0, `slipway ${args.join(" ")}\n${stderr}`);
      return stdout;
    },
    async fail(args: readonly string[], more?: Readonly<Record<string, string>>) {
      const { code, stderr } = await call(args, more);
      assert.equal(code, 1, `slipway ${args.join(" ")} succeeds`);
      return stderr;
    },
  };
}

/** The paths that a registry was asked for, by method. */
const askedOf = ({ logPath }: RunningRegistry, method: string) =>
  [...readFileSync(logPath, "utf8").matchAll(new RegExp(`"${method} (/v2/\\S+) HTTP`, "g"))].map(
    ([, path]) => path,
  );
const manifestsOf = (registry: RunningRegistry) =>
  askedOf(registry, "GET").filter((path) => path!.includes("/manifests/"));

test("a pull asks the mirrors, then the location that the prefix is rewritten to; a push passes the mirrors by", {
  skip,
}, async () => {
  await using mirror = await startRegistry();
  await using home = await startRegistry();
  const { run } = makeUser(
    `[registry."docker.io/library"]\nmirrors = ["${mirror.host}/hub"]\nlocation = "${home.host}/own"\n`,
  );
  await run(["copy", "-q", `oci:${layout}`, "thing:1"]);
  assert.deepEqual(askedOf(mirror, "PUT"), []);
  assert.equal(askedOf(home, "PUT").at(-1), "/v2/own/thing/manifests/1");

  assert.equal(await run(["pull", "-q", "thing:1"]), "docker.io/library/thing:1\n");
  assert.deepEqual(manifestsOf(mirror), ["/v2/hub/thing/manifests/1"]);
  assert.deepEqual(manifestsOf(home), ["/v2/own/thing/manifests/1"]);

  await run(["copy", "-q", `oci:${layout}`, `${mirror.host}/hub/thing:1`]);
  const other = makeUser(`[registry."docker.io/library"]\nmirrors = ["${mirror.host}/hub"]\n`);
  await other.run(["pull", "-q", "thing:1"]);
  assert.equal(await other.run(["ls", "thing:1"]), "hello\n");
  assert.deepEqual(manifestsOf(home).length, 1);
});

test("a mirror that is away is passed over, and both are named where the place itself fails, too", {
  skip,
}, async () => {
  await using home = await startRegistry();
  const { run, fail } = makeUser(
    `retry = 0\n[registry."docker.io/library"]\nmirrors = ["127.0.0.1:1/hub"]\nlocation = "${home.host}/own"\n`,
  );
  await run(["copy", "-q", `oci:${layout}`, "thing:1"]);
  await run(["pull", "-q", "thing:1"]);
  const stderr = await fail(["pull", "-q", "other:1"]);
  assert.match(stderr, /Cannot pull "127.*\/own\/other:1": .*no such/);
  assert.match(stderr, /Before that: .*127\.0\.0\.1:1 refuses the connection/);
});

test("plain HTTP is for loopback and for registries that the settings or the option call insecure", {
  skip,
}, async () => {
  await using registry = await startRegistry();
  await using proxy = await startForwardProxy({
    "plain.test:80": registry.host,
    "plain.test:5000": registry.host,
  });
  const proxies = { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url };
  const careful = makeUser("retry = 0\n");
  assert.match(await careful.fail(["pull", "plain.test/a"], proxies), /Cannot pull "plain\.test\/a:latest"/);
  assert.ok(!proxy.seen.some((line) => line.includes("http:")), "nothing was asked in the clear");
  await careful.run(["copy", "-q", "--tls-verify=false", `oci:${layout}`, "plain.test/a"], proxies);

  const { run } = makeUser('retry = 0\n[registry."plain.test:5000"]\ninsecure = true\n');
  await run(["pull", "-q", "plain.test:5000/a"], proxies);
  const variable = { ...proxies, SLIPWAY_INSECURE_REGISTRIES: "plain.test" };
  await makeUser().run(["pull", "-q", "plain.test/a"], variable);
  // Loopback needs neither, nor goes through the proxy.
  await makeUser().run(["pull", "-q", `${registry.host}/a`], proxies);
});

test("requests leave by the proxy that the variables name, except to what NO_PROXY names", {
  skip,
}, async () => {
  await using registry = await startRegistry();
  await using proxy = await startForwardProxy({ "plain.test:80": registry.host });
  const { run, fail } = makeUser('retry = 0\n[registry."plain.test"]\ninsecure = true\n');
  const proxies = { http_proxy: proxy.url, https_proxy: proxy.url };
  await run(["copy", "-q", `oci:${layout}`, "plain.test/a"], proxies);
  await run(["pull", "-q", "plain.test/a"], { ...proxies, NO_PROXY: "other.test,10.0.0.0/8" });
  assert.ok(proxy.seen.includes("GET http://plain.test/v2/a/manifests/latest"));
  const before = proxy.seen.length;
  for (const exempt of [".test", "plain.test", "plain.test:80,plain.test:443", "*"]) {
    // Without the proxy nobody knows the name.
    const stderr = await fail(["pull", "plain.test/a"], { ...proxies, NO_PROXY: exempt });
    assert.match(stderr, /Cannot pull .*plain\.test/);
  }
  assert.equal(proxy.seen.length, before);
});

/** A registry that shows a certificate of an authority that nobody knows, and asks for one. */
async function startTlsRegistry() {
  const certificates = await makeCertificates();
  const registry = await startRegistry({
    tls: { ...certificates.server, clientCas: [certificates.authority] },
  });
  return {
    registry,
    certificates,
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await certificates[Symbol.asyncDispose]();
    },
  };
}

/** A directory of docker's `certs.d`: an authority, and a client's certificate beside its key. */
function fillCertificates(directory: string, { authority, client }: TestCertificates): string {
  mkdirSync(directory, { recursive: true });
  cpSync(authority, join(directory, "ca.crt"));
  cpSync(client.certificatePath, join(directory, "client.cert"));
  cpSync(client.keyPath, join(directory, "client.key"));
  return directory;
}

test("a private authority and a client certificate come from --cert-dir, the settings or certs.d", {
  skip: skip || opensslMissing,
}, async () => {
  await using tls = await startTlsRegistry();
  const { registry, certificates } = tls;
  const name = `${registry.host}/a:1`;
  const directory = fillCertificates(join(work, "certificates"), certificates);
  const plain = makeUser("retry = 0\n");
  const strict = "--tls-verify";
  assert.match(await plain.fail(["pull", strict, name]), /the certificate of registry .* is not trusted/);

  const option = ["--cert-dir", directory];
  await plain.run(["copy", "-q", strict, ...option, `oci:${layout}`, name]);
  await plain.run(["pull", "-q", strict, ...option, name]);
  await plain.run(["push", "-q", strict, ...option, name]);
  mkdirSync(join(work, "context"), { recursive: true });
  writeFileSync(join(work, "context/Dockerfile"), `FROM ${name}\nLABEL a=b\n`);
  const build = ["build", "-q", strict, ...option, "--pull", "--push", "-t", `${registry.host}/b:1`];
  await plain.run([...build, join(work, "context")]);

  await plain.run(["pull", "-q", strict, name], { SLIPWAY_CERT_DIR: directory });
  for (const settings of [
    `tls-verify = true\ncert-dir = "${directory}"\n`,
    `tls-verify = true\n[registry."${registry.host}"]\ncert-dir = "${directory}"\n`,
  ]) {
    await makeUser(settings).run(["pull", "-q", name]);
  }
  for (const place of [".docker/certs.d", ".config/containers/certs.d"]) {
    const user = makeUser();
    fillCertificates(join(user.home, place, registry.host), certificates);
    await user.run(["pull", "-q", strict, name]);
  }
});

test("--tls-verify=false takes any certificate, and only what it is asked for", {
  skip: skip || opensslMissing,
}, async () => {
  await using certificates = await makeCertificates();
  await using registry = await startRegistry({ tls: certificates.server });
  await using proxy = await startForwardProxy({ "registry.test:443": registry.host });
  const proxies = { HTTPS_PROXY: proxy.url };
  const name = "registry.test/a:1";
  const { run, fail } = makeUser("retry = 0\n");
  const isUntrusted = /the certificate of registry registry\.test is not trusted/;
  assert.match(await fail(["pull", name], proxies), isUntrusted);
  await run(["copy", "-q", "--tls-verify=false", `oci:${layout}`, name], proxies);
  await run(["pull", "-q", "--tls-verify=false", name], proxies);
  await run(["push", "-q", name], { ...proxies, SLIPWAY_TLS_VERIFY: "false" });
  assert.match(await fail(["push", name], proxies), isUntrusted);
  assert.match(
    await makeUser("tls-verify = false\n").fail(["pull", "--tls-verify=true", name], proxies),
    isUntrusted,
  );
});

test("--retry and retry say how often a request is repeated", { skip }, async () => {
  await using proxy = await startFaultProxy(undefined, ({ path }) => ({
    kind: "answer",
    status: path === "/v2/" ? 200 : 503,
  }));
  const name = `${proxy.host}/a`;
  const quick = ["--retry-delay", "1ms"];
  const { fail } = makeUser("retry = 2\n");
  for (const [args, variables, repeated] of [
    [[], {}, 2],
    [["--retry", "0"], {}, 0],
    [["--retry=3"], { SLIPWAY_RETRY: "1" }, 3],
    [[], { SLIPWAY_RETRY: "1" }, 1],
  ] as const) {
    const before = proxy.requests.length;
    const stderr = await fail(["pull", ...quick, ...args, name], variables);
    assert.match(stderr, /503 unavailable/);
    const asked = proxy.requests.slice(before).filter(({ path }) => path.includes("manifests"));
    assert.equal(asked.length, 1 + repeated, args.join(" "));
  }
  assert.match(await fail(["pull", "--retry=-1", name]), /Cannot use "-1" for --retry/);
  assert.match(await fail(["pull", "--retry-delay=soon", name]), /Cannot use "soon" for --retry-delay/);
});

test("a pull waits out a rate limit, as long as the registry asks for it", { skip }, async () => {
  await using registry = await startRegistry();
  const { run, fail } = makeUser('retry-delay = "1ms"\n');
  await run(["copy", "-q", `oci:${layout}`, `${registry.host}/a`]);
  for (const makeHeader of [() => "1", () => new Date(Date.now() + 2000).toUTCString()]) {
    let refusals = 0;
    await using proxy = await startFaultProxy(registry.host, ({ path }) =>
      path.includes("/blobs/") && refusals++ === 0
        ? { kind: "answer", status: 429, headers: { "retry-after": makeHeader() } }
        : undefined,
    );
    const begin = Date.now();
    await run(["pull", "-q", `${proxy.host}/a`]);
    // A date has no fractions of a second.
    assert.ok(Date.now() - begin >= 1000);
    await run(["rmi", `${proxy.host}/a`]);
    await run(["prune", "-a", "-f"]);
  }
  await using full = await startFaultProxy(undefined, ({ path }) => ({
    kind: "answer",
    status: path === "/v2/" ? 200 : 429,
    body: '{"errors":[{"code":"TOOMANYREQUESTS","message":"you have reached your pull rate limit"}]}',
  }));
  const stderr = await fail(["pull", "--retry=1", `${full.host}/a`]);
  assert.match(stderr, /429 too many requests \(TOOMANYREQUESTS: you have reached your pull rate limit\)/);
  assert.match(stderr, /Hint: Wait, or log in for a higher limit/);
});
