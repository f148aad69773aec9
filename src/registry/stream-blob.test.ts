import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Fault, type SeenRequest, startFaultProxy } from "../../test/start-fault-proxy.ts";
import { registryMissing, startRegistry } from "../../test/start-registry.ts";
import { makeTinyImage } from "../../test/tiny-image.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import { parseImageReference } from "../oci/reference.ts";
import { makeRegistryClient } from "./registry-client.ts";

const { layer } = makeTinyImage(2_000_000);
const { descriptor } = layer;

async function* inPieces(bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe("streamBlob", { skip: registryMissing }, () => {
  interface Place {
    readonly client: ReturnType<typeof makeRegistryClient>;
    readonly reference: ReturnType<typeof parseImageReference>;
    readonly methods: () => string[];
  }
  async function withRegistry(
    work: (place: Place) => Promise<void>,
    decide: (request: SeenRequest) => Fault | undefined = () => undefined,
  ): Promise<void> {
    await using registry = await startRegistry();
    await using proxy = await startFaultProxy(registry.host, decide);
    await using client = makeRegistryClient({ retries: { count: 3, delayMs: 10 } });
    const reference = parseImageReference(`${proxy.host}/x`);
    const methods = () =>
      proxy.requests.filter(({ path }) => /uploads/.test(path)).map(({ method }) => method);
    await work({ client, reference, methods });
  }
  it("uploads what is known only at its end", () =>
    withRegistry(async ({ client, reference, methods }) => {
      const { promise: isKnown, resolve: know } = Promise.withResolvers<void>();
      async function* growing() {
        yield layer.bytes.subarray(0, 1_000_000);
        await isKnown;
        yield* inPieces(layer.bytes.subarray(1_000_000));
      }
      const upload = client.streamBlob(reference, growing)!;
      const progress: number[] = [];
      const committing = upload.commit(descriptor, { onProgress: (bytes) => progress.push(bytes) });
      know();
      assert.equal(await committing, true);
      assert.deepEqual(methods(), ["POST", "PATCH", "PUT"]);
      assert.equal(progress.at(-1), layer.bytes.length);
      assert.deepEqual(await readAll(client.openBlob(reference, descriptor)), Buffer.from(layer.bytes));
      await upload.cancel();
      assert.deepEqual(methods(), ["POST", "PATCH", "PUT"]);
    }));

  // What is given up is told to be; Debian's registry keeps the directory of such an upload for a while all the same.
  const faults: readonly { what: string; at: string; fault: Fault; requests: readonly string[] }[] = [
    { what: "no upload is begun", at: "POST", fault: { kind: "answer", status: 503 }, requests: ["POST"] },
    {
      what: "a length is wanted",
      at: "PATCH",
      fault: { kind: "answer", status: 411 },
      requests: ["POST", "PATCH", "DELETE"],
    },
    {
      what: "the connection breaks",
      at: "PATCH",
      fault: { kind: "cut-request", afterBytes: 500_000 },
      requests: ["POST", "PATCH", "DELETE"],
    },
    {
      what: "the end is refused",
      at: "PUT",
      fault: { kind: "answer", status: 500 },
      requests: ["POST", "PATCH", "PUT", "DELETE"],
    },
  ];
  for (const { what, at, fault, requests } of faults) {
    it(`is false where ${what}, and gives the upload up`, () =>
      withRegistry(
        async ({ client, reference, methods }) => {
          const upload = client.streamBlob(reference, () => inPieces(layer.bytes))!;
          assert.equal(await upload.commit(descriptor), false);
          assert.equal(await client.hasBlob(reference, descriptor.digest), false);
          assert.deepEqual(methods(), requests);
        },
        ({ method, path }) => (method === at && path.includes("uploads") ? fault : undefined),
      ));
  }

  it("is false where the bytes are others", () =>
    withRegistry(async ({ client, reference, methods }) => {
      const other = { ...descriptor, digest: digestBytes(Buffer.from("another")) };
      const upload = client.streamBlob(reference, () => inPieces(layer.bytes))!;
      assert.equal(await upload.commit(other), false);
      assert.equal(await client.hasBlob(reference, other.digest), false);
      assert.equal(methods().at(-1), "DELETE");
    }));

  it("is false where the source fails", () =>
    withRegistry(async ({ client, reference, methods }) => {
      async function* failing() {
        yield layer.bytes.subarray(0, 1_000_000);
        throw new Error("no space");
      }
      const upload = client.streamBlob(reference, failing)!;
      assert.equal(await upload.commit(descriptor), false);
      assert.equal(methods().at(-1), "DELETE");
    }));

  it("can be given up while it waits for bytes", () =>
    withRegistry(async ({ client, reference, methods }) => {
      const { promise: isSent, resolve: sent } = Promise.withResolvers<void>();
      async function* stuck() {
        yield layer.bytes.subarray(0, 1_000_000);
        sent();
        await new Promise(() => {});
      }
      const upload = client.streamBlob(reference, stuck)!;
      await isSent;
      await upload.cancel();
      assert.deepEqual(methods(), ["POST", "PATCH", "DELETE"]);
    }));

  it("is not for registries that take pieces of some length only", async () => {
    await using client = makeRegistryClient({ uploadChunkBytes: 700_001 });
    assert.equal(
      client.streamBlob(parseImageReference("127.0.0.1:1/x"), () => inPieces(layer.bytes)),
      undefined,
    );
  });
});
