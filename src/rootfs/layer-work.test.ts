import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { chunksOf, makeTar, makeTemporaryDirectory } from "../../test/make-layers.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import { makeThreadPool, workerEntry } from "../threads/thread-pool.ts";
import { makeLayerWork } from "./layer-work.ts";

test("a layer goes in and out again in worker threads, the same for any number of them", async (t) => {
  const at = makeTemporaryDirectory(t);
  const tar = makeTar([
    { name: "d/" },
    ...Array.from({ length: 40 }, (_, number) => ({
      name: `d/${number}`,
      content: `${number} `.repeat(50_000),
    })),
  ]);
  const blob = gzipSync(tar);
  const digests = new Set<string>();
  for (const size of [1, 3]) {
    await using pool = makeThreadPool({ entry: workerEntry(), size });
    const work = makeLayerWork(pool);
    const request = {
      layersDirectory: join(at, `layers${size}`),
      mediaType: "",
      digest: digestBytes(blob),
      size: blob.length,
    };
    const { layer, diffId } = await work.ingestLayer({ ...request, bytes: chunksOf(blob) });
    assert.equal(diffId, digestBytes(tar));
    for (const compression of ["gzip", "zstd"] as const) {
      const packed = await work.packLayer({ layer, compression, blobPath: join(at, "blob") });
      assert.equal(packed.digest, digestBytes(readFileSync(join(at, "blob"))));
      digests.add(packed.digest);
      const back = { ...request, digest: packed.digest, size: packed.size, bytes: join(at, "blob") };
      assert.equal((await work.ingestLayer(back)).diffId, diffId);
    }
    const short = { ...request, size: 5, bytes: chunksOf(blob) };
    await assert.rejects(work.ingestLayer(short), { name: "BuildError", code: "verification" });
  }
  assert.equal(digests.size, 2);
});
