import assert from "node:assert/strict";
import { copyFile, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { makeCertificates, opensslMissing } from "../../test/make-certificates.ts";
import { registryMissing, startRegistry } from "../../test/start-registry.ts";
import { makeTinyImage } from "../../test/tiny-image.ts";
import { BuildError } from "../errors/build-error.ts";
import { parseImageReference } from "../oci/reference.ts";
import { makeRegistryClient } from "./registry-client.ts";

const skip = registryMissing || opensslMissing;
const retries = { count: 0, delayMs: 1 };
const { layer } = makeTinyImage();

test("TLS is found on loopback, and is not verified there unless it is asked for", { skip }, async () => {
  await using certificates = await makeCertificates();
  await using registry = await startRegistry({ tls: certificates.server });
  const reference = parseImageReference(`${registry.host}/x`);
  for (const tlsVerify of [undefined, false]) {
    await using client = makeRegistryClient({ retries, tlsVerify });
    await client.pushBlob(reference, layer.descriptor, () => Readable.from([layer.bytes]));
    assert.ok(await client.hasBlob(reference, layer.descriptor.digest));
  }
  await using strict = makeRegistryClient({ retries, tlsVerify: true });
  await assert.rejects(strict.hasBlob(reference, layer.descriptor.digest), (error) => {
    assert.ok(error instanceof BuildError);
    assert.equal(error.code, "registry");
    assert.match(error.message, /the certificate of registry .* is not trusted/);
    assert.match(error.hint ?? "", /certs\.d/);
    return true;
  });
});

test("a private authority and a client certificate come from certs.d", { skip }, async () => {
  await using certificates = await makeCertificates();
  await using registry = await startRegistry({
    tls: { ...certificates.server, clientCas: [certificates.authority] },
  });
  const reference = parseImageReference(`${registry.host}/x`);
  const parent = join(certificates.directory, "certs.d");
  const directory = join(parent, registry.host);
  await mkdir(directory, { recursive: true });
  await copyFile(certificates.authority, join(directory, "ca.crt"));
  const options = { retries, tlsVerify: true, certificateDirectories: [parent] };

  await using nobody = makeRegistryClient(options);
  await assert.rejects(nobody.hasBlob(reference, layer.descriptor.digest), { code: "registry" });

  await copyFile(certificates.client.certificatePath, join(directory, "me.cert"));
  await using half = makeRegistryClient(options);
  await assert.rejects(half.hasBlob(reference, layer.descriptor.digest), {
    code: "option-invalid",
    message: `Cannot use the client certificate "${join(directory, "me.cert")}": there is no "me.key" beside it`,
  });

  await copyFile(certificates.client.keyPath, join(directory, "me.key"));
  await using client = makeRegistryClient(options);
  assert.equal(await client.hasBlob(reference, layer.descriptor.digest), false);

  await rm(join(directory, "ca.crt"));
  await using untrusting = makeRegistryClient(options);
  await assert.rejects(untrusting.hasBlob(reference, layer.descriptor.digest), /is not trusted/);
});

test("plain HTTP where HTTPS is wanted is called so", { skip: registryMissing }, async () => {
  await using registry = await startRegistry();
  const reference = parseImageReference(`${registry.host}/x`);
  await using client = makeRegistryClient({ retries, tlsVerify: true });
  await assert.rejects(client.resolveManifest(reference), {
    code: "registry",
    message: `Cannot pull "${registry.host}/x:latest": registry ${registry.host} speaks plain HTTP, not HTTPS`,
    hint: "To allow that, give --tls-verify=false or name it among the insecure registries",
  });
});

test("an upload stays with HTTPS where the registry does not know of it", { skip }, async () => {
  await using certificates = await makeCertificates();
  await using registry = await startRegistry({ tls: certificates.server, believesPlainHttp: true });
  await using client = makeRegistryClient({ retries });
  const reference = parseImageReference(`${registry.host}/x`);
  const pushing = client.pushBlob(reference, layer.descriptor, () => Readable.from([layer.bytes]));
  assert.equal(await pushing, "pushed");
});
