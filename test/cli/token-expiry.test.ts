import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, test } from "node:test";
import { parseImageReference } from "../../src/oci/reference.ts";
import { makeRegistryClient } from "../../src/registry/registry-client.ts";
import { makeCertificates, opensslMissing } from "../make-certificates.ts";
import { slipway } from "../slipway.ts";
import { startFaultProxy } from "../start-fault-proxy.ts";
import { registryMissing } from "../start-registry.ts";
import { startTokenRegistry, startTokenService } from "../start-token-service.ts";
import { makeTinyImage } from "../tiny-image.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-token-"));
after(() => rmSync(work, { recursive: true, force: true }));

test("a pull whose token expires in the middle of a layer gets another one and goes on where it was", {
  skip: registryMissing || opensslMissing,
}, async () => {
  await using certificates = await makeCertificates();
  await using service = await startTokenService(certificates);
  await using registry = await startTokenRegistry(service, certificates);
  const image = makeTinyImage(3_000_000);
  const credentials = { kind: "password", username: "tester", password: "secret" } as const;
  await using client = makeRegistryClient({ credentials: async () => credentials });
  const reference = parseImageReference(`${registry.host}/a:1`);
  for (const { descriptor, bytes } of [image.config, image.layer]) {
    await client.pushBlob(reference, descriptor, () => Readable.from([bytes]));
  }
  await client.pushManifest(reference, image.descriptor.mediaType, image.manifest);

  const layerPath = `/v2/a/blobs/${image.layer.descriptor.digest}`;
  let expired: string | undefined;
  await using proxy = await startFaultProxy(registry.host, ({ path, headers }) => {
    if (path !== layerPath) return undefined;
    if (expired === undefined) {
      expired = headers.authorization;
      return { kind: "cut-answer", afterBytes: 1_000_000 };
    }
    if (headers.authorization !== expired) return undefined;
    const challenge = `Bearer realm="${service.realm}",service="registry",scope="repository:a:pull",error="invalid_token"`;
    return { kind: "answer", status: 401, headers: { "www-authenticate": challenge } };
  });
  const asked = service.asked.length;
  const name = `${proxy.host}/a:1`;
  await slipway(["pull", "--retry-delay", "1ms", name], { root: join(work, "store") });
  assert.equal(service.asked.length, asked + 2);
  const requests = proxy.requests.filter(({ path }) => path === layerPath);
  assert.deepEqual(
    requests.map(({ headers }) => headers.range !== undefined),
    [false, true, true],
  );
  assert.equal(requests[1]!.headers.authorization, expired);
  assert.notEqual(requests[2]!.headers.authorization, expired);
});
