import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { copyFile, mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificates, opensslMissing, type TestCertificates } from "../../test/make-certificates.ts";
import { startFaultProxy } from "../../test/start-fault-proxy.ts";
import { startForwardProxy } from "../../test/start-forward-proxy.ts";
import { registryMissing, startRegistry } from "../../test/start-registry.ts";
import { makeTinyImage } from "../../test/tiny-image.ts";
import { parseImageReference } from "../oci/reference.ts";
import { makeRegistryClient, type RegistryClientOptions } from "./registry-client.ts";

const retries = { count: 0, delayMs: 1 };
const { layer } = makeTinyImage();

/** `127.0.0.1:PORT` where nobody listens. */
async function findClosedPort(): Promise<string> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return `127.0.0.1:${port}`;
}

async function failToResolve(name: string, options: RegistryClientOptions) {
  await using client = makeRegistryClient({ retries, ...options });
  return client.resolveManifest(parseImageReference(name)).then(
    () => assert.fail("it was found"),
    (error: Error & { hint?: string }) => ({ message: error.message, hint: error.hint ?? "" }),
  );
}

test("a proxy that fails is named, and the variable that it comes from", async () => {
  const closed = await findClosedPort();
  const tls = await failToResolve("far.test/a", {
    environment: { HTTPS_PROXY: `http://user:word@${closed}` },
  });
  assert.equal(
    tls.message,
    `Cannot pull "far.test/a:latest": proxy ${closed} on the way to registry far.test refuses the connection`,
  );
  assert.equal(tls.hint, "The proxy comes from HTTPS_PROXY; to go without it, add far.test to NO_PROXY");
  const plain = await failToResolve("far.test/a", {
    insecureRegistries: ["far.test"],
    environment: { HTTP_PROXY: closed, HTTPS_PROXY: closed },
  });
  assert.match(plain.message, /: proxy \S+ on the way to registry far\.test refuses the connection$/);
  const unknown = await failToResolve("far.test/a", { environment: { HTTPS_PROXY: "proxy.invalid:3128" } });
  assert.match(unknown.message, /: proxy proxy\.invalid:3128 on the way to registry far\.test is not known/);
});

test("what a proxy answers is told as the proxy's", { skip: registryMissing }, async () => {
  await using nowhere = await startForwardProxy({});
  const environment = { HTTPS_PROXY: nowhere.url, HTTP_PROXY: nowhere.url };
  const { host } = new URL(nowhere.url);
  assert.equal(
    (await failToResolve("far.test/a", { environment })).message,
    `Cannot pull "far.test/a:latest": proxy ${host} does not connect to registry far.test: it answered 502 Bad Gateway`,
  );
  const plain = await failToResolve("far.test/a", { environment, insecureRegistries: ["far.test"] });
  assert.match(plain.message, /: proxy \S+ on the way to registry far\.test answered 502 bad gateway$/);

  const strict = createServer((_, response) => response.writeHead(407).end());
  strict.on("connect", (_, socket) => socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"));
  await once(strict.listen(0, "127.0.0.1"), "listening");
  const place = `127.0.0.1:${(strict.address() as AddressInfo).port}`;
  try {
    for (const insecureRegistries of [[], ["far.test"]]) {
      const { message, hint } = await failToResolve("far.test/a", {
        environment: { HTTPS_PROXY: place, HTTP_PROXY: place },
        insecureRegistries,
      });
      assert.match(message, new RegExp(`: proxy ${place} .*answered 407`));
      assert.match(hint, /USER:PASSWORD@HOST:PORT/);
    }
  } finally {
    strict.close();
    strict.closeAllConnections();
  }
});

test("a host that the registry or the manifest points to is named in its place", {
  skip: registryMissing,
}, async () => {
  await using registry = await startRegistry();
  const closed = await findClosedPort();
  const { digest } = layer.descriptor;
  const read = async (host: string, urls?: readonly string[]) => {
    await using client = makeRegistryClient({ retries });
    const bytes = client.openBlob(parseImageReference(`${host}/a`), { ...layer.descriptor, urls });
    await Array.fromAsync(bytes);
  };
  const action = `Cannot pull blob "${digest}" of `;
  await assert.rejects(read(registry.host, [`https://${closed}/layer`]), {
    message: `${action}"${registry.host}/a": host ${closed} refuses the connection`,
    hint: `Is it running? (Tried ${closed})`,
  });
  await assert.rejects(read(registry.host, ["http://far.test/layer"]), {
    message: `${action}"${registry.host}/a": it is a foreign layer at "http://far.test/layer", which is no HTTPS address`,
  });
  await using elsewhere = await startFaultProxy(registry.host, () => ({ kind: "answer", status: 403 }));
  for (const [target, said] of [
    [closed, "refuses the connection"],
    [elsewhere.host, "answered 403 forbidden"],
  ]) {
    await using redirecting = await startFaultProxy(registry.host, ({ path }) =>
      path.includes("/blobs/")
        ? { kind: "answer", status: 307, headers: { location: `http://${target}/there` } }
        : undefined,
    );
    await assert.rejects(read(redirecting.host), {
      message: `${action}"${redirecting.host}/a": host ${target} ${said}`,
    });
  }
});

/** A directory like certs.d for one host, which trusts the authority; with a client certificate if one is given. */
async function makeCertsDirectory(
  certificates: TestCertificates,
  { host, client }: { readonly host: string; readonly client?: TestCertificates["client"] },
): Promise<string> {
  const parent = join(certificates.directory, client === undefined ? "without" : "with");
  await mkdir(join(parent, host), { recursive: true });
  await copyFile(certificates.authority, join(parent, host, "ca.crt"));
  if (client !== undefined) {
    await copyFile(client.certificatePath, join(parent, host, "client.cert"));
    await copyFile(client.keyPath, join(parent, host, "client.key"));
  }
  return parent;
}

test("a registry that wants another client certificate, or one at all, is said to", {
  skip: registryMissing || opensslMissing,
}, async () => {
  await using certificates = await makeCertificates();
  await using others = await makeCertificates();
  const { certificatePath, keyPath } = certificates.server;
  await using registry = await startRegistry({
    tls: { certificatePath, keyPath, clientCas: [certificates.authority] },
  });
  const servers = (["TLSv1.2", "TLSv1.3"] as const).map((version) =>
    createTlsServer({
      cert: readFileSync(certificatePath),
      key: readFileSync(keyPath),
      ca: readFileSync(certificates.authority),
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: version,
      maxVersion: version,
    }).listen(0, "127.0.0.1"),
  );
  await Promise.all(servers.map((server) => once(server, "listening")));
  const hosts = servers.map((server) => `127.0.0.1:${(server.address() as AddressInfo).port}`);
  await using proxy = await startForwardProxy({ "registry.test:443": registry.host });
  try {
    for (const host of [registry.host, ...hosts, "registry.test"]) {
      const options = { tlsVerify: true, environment: { HTTPS_PROXY: proxy.url } };
      const certificateDirectories = [await makeCertsDirectory(certificates, { host })];
      const without = await failToResolve(`${host}/a`, { ...options, certificateDirectories });
      assert.match(without.message, new RegExp(`: registry ${host} .*wants a client certificate$`));
      assert.equal(
        without.hint,
        `Put it into /etc/docker/certs.d/${host}/client.cert, and its key into client.key beside it`,
      );
      // Node's servers only hang up.
      if (hosts.includes(host)) continue;
      const strange = await makeCertsDirectory(certificates, { host, client: others.client });
      const wrong = await failToResolve(`${host}/a`, { ...options, certificateDirectories: [strange] });
      assert.match(
        wrong.message,
        new RegExp(`: registry ${host} does not accept the client certificate \\([a-z ]+\\)$`),
      );
    }
  } finally {
    for (const server of servers) server.close();
    for (const server of servers) server.closeAllConnections();
  }
});
