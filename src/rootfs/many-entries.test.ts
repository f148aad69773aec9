import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeTemporaryDirectory } from "../../test/make-layers.ts";
import type { Digest } from "../oci/digest.ts";
import { makeThreadPool, workerEntry } from "../threads/thread-pool.ts";
import { makeLayerWork } from "./layer-work.ts";
import { pathFromText } from "./rootfs-path.ts";
import { tarChecksum } from "./tar-header.ts";
import { encodeTarMember, TAR_END } from "./tar-writer.ts";
import { openUnionTree } from "./union-tree.ts";

/** `SLIPWAY_ENTRIES=1000000` is the number that the promise is about. */
const count = Number(process.env.SLIPWAY_ENTRIES ?? 100_000);
/** Over what a thousand entries take: a run that is sorted and collections that are due, the same for any number above. */
const MEMORY_LIMIT_MIB = 130;
const MIB = 1 << 20;

test(`${count} entries cost no more memory than a thousand`, async (t) => {
  const at = makeTemporaryDirectory(t);
  await using pool = makeThreadPool({ entry: workerEntry(), size: 1 });
  const work = makeLayerWork(pool);
  let peak = 0;
  const sampler = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 5);
  t.after(() => clearInterval(sampler));

  /** The most memory of each kind of work, in MiB. */
  const passThrough = async (entries: number): Promise<Record<string, number>> => {
    const peaks: Record<string, number> = {};
    const measure = async <Result>(name: string, run: () => Promise<Result>): Promise<Result> => {
      peak = process.memoryUsage.rss();
      const result = await run();
      peaks[name] = Math.round(peak / MIB);
      return result;
    };
    const layersDirectory = join(at, `layers-${entries}`);
    const tarPath = join(at, `tar-${entries}`);
    const blob = writeTar(tarPath, entries);
    const { layer } = await measure("ingest", () =>
      work.ingestLayer({ ...blob, layersDirectory, mediaType: "", bytes: tarPath }),
    );
    await using selection = await measure("select", () =>
      work.selectCopy({
        sources: [{ kind: "path", tree: { kind: "layers", layers: [layer] }, path: "/d" }],
        destination: "/to/",
        temporaryDirectory: at,
      }),
    );
    const copy = await measure("write", () => work.writeCopyLayer({ selection, base: [], layersDirectory }));
    await measure("pack", () =>
      work.packLayer({
        layer: copy.layer,
        compression: "gzip",
        level: 1,
        blobPath: join(at, `gzip-${entries}`),
      }),
    );
    // In this thread, whose memory stays.
    await measure("look up and list", async () => {
      using tree = openUnionTree([layer]);
      let listed = 0;
      for (const { entry } of tree.walk()) if (entry.type === "file") listed++;
      assert.equal(listed, entries);
      assert.equal(tree.lookup(pathFromText(nameOf(entries - 1)))?.entry.type, "file");
    });
    return peaks;
  };

  await passThrough(1000);
  const few = await passThrough(1001);
  const many = await passThrough(count);
  for (const [name, mib] of Object.entries(many)) {
    t.diagnostic(`${name}: ${mib} MiB for ${count} entries, ${few[name]} MiB for 1,001`);
  }
  for (const [name, mib] of Object.entries(many)) {
    assert.ok(mib - few[name]! < MEMORY_LIMIT_MIB, `${name} takes ${mib - few[name]!} MiB more`);
  }
});

/** Not in order, so that an index has to sort them. */
function nameOf(at: number): string {
  const scattered = String((at * 7_368_787) % 1_000_003).padStart(7, "0");
  return `d/${scattered.slice(0, 4)}/file-${scattered}`;
}

/** With one buffer, so that the test's own memory does not count. */
function writeTar(path: string, entries: number): { readonly size: number; readonly digest: Digest } {
  const common = {
    uid: 0,
    gid: 0,
    size: 0,
    mtime: 1000,
    mtimeNs: 0,
    linkName: "",
    deviceMajor: 0,
    deviceMinor: 0,
  };
  const header = Buffer.from(encodeTarMember({ ...common, name: nameOf(0), type: "file", mode: 0o644 }));
  const hash = createHash("sha256");
  const fd = openSync(path, "w");
  const write = (bytes: Uint8Array) => {
    hash.update(bytes);
    writeSync(fd, bytes);
  };
  for (let at = 0; at < entries; at++) {
    header.write(nameOf(at), 0, "latin1");
    header.write(`${tarChecksum(header).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    write(header);
  }
  write(TAR_END);
  closeSync(fd);
  const size = entries * header.length + TAR_END.length;
  return { size, digest: `sha256:${hash.digest("hex")}` };
}
