import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { closeSync, createReadStream, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { test } from "node:test";
import { makeTemporaryDirectory } from "../../test/make-layers.ts";
import { makeThreadPool, workerEntry } from "../threads/thread-pool.ts";
import { makeLayerWork } from "./layer-work.ts";

/** In MiB; `SLIPWAY_LARGE=4096` is the size that the promise is about, too much for every run. */
const sizeMib = Number(process.env.SLIPWAY_LARGE ?? 0);
const skip = sizeMib > 0 ? false : "set SLIPWAY_LARGE to a number of MiB";
/** Over what the threads take before they have work: tests carry a compiler along, the bundle does not. */
const MEMORY_LIMIT_MIB = 100;
const MIB = 1 << 20;
/** In milliseconds: how long the main thread should work at a stretch. */
const STRETCH_MS = 20;
/** A collection, or code that loads, may take longer than that; work on each of the file's hundreds of pieces may not. */
const LONG_STRETCHES_MAX = 3;
/** Of all the processor time. Relaying takes a tenth, a quarter where the work takes long; to compress in the main thread takes two fifths and more. */
const MAIN_SHARE_MAX = 1 / 3;

test("a large file passes through every kind of work with little memory and an event loop that runs", {
  skip,
}, async (t) => {
  const at = makeTemporaryDirectory(t);
  mkdirSync(join(at, "context"));
  const fd = openSync(join(at, "context/large"), "w");
  // A part of it cannot be compressed: what grows a hundredfold is taken for a bomb.
  for (let mib = 0; mib < sizeMib; mib++) {
    writeSync(fd, randomFillSync(Buffer.alloc(MIB, `${mib} `), 0, MIB / 16));
  }
  closeSync(fd);

  await using pool = makeThreadPool({ entry: workerEntry(), size: 2 });
  const work = makeLayerWork(pool);
  let peak = 0;
  const sampler = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 10);
  // The event loop is late, too, when the machine has no core free; what the thread itself computes between two turns is our doing.
  let stretches: number[] = [];
  let lastMs = cpuMs(process.threadCpuUsage());
  const endStretch = () => {
    const now = cpuMs(process.threadCpuUsage());
    stretches.push(now - lastMs);
    lastMs = now;
  };
  const busySampler = setInterval(endStretch, 5);
  t.after(() => clearInterval(busySampler));
  t.after(() => clearInterval(sampler));
  const delay = monitorEventLoopDelay({ resolution: 2 });
  const step = async <Result>(name: string, run: () => Promise<Result>): Promise<Result> => {
    peak = 0;
    endStretch();
    stretches = [];
    delay.reset();
    delay.enable();
    const before = { main: lastMs, all: cpuMs(process.cpuUsage()) };
    const result = await run();
    endStretch();
    const share = (lastMs - before.main) / (cpuMs(process.cpuUsage()) - before.all);
    delay.disable();
    const [peakMib, delayMs] = [Math.round((peak - idle) / MIB), (delay.percentile(99.9) / 1e6).toFixed(1)];
    t.diagnostic(
      `${name}: peak ${peakMib} MiB over ${Math.round(idle / MIB)}, event loop late by ${delayMs} ms, busy for ${Math.max(...stretches).toFixed(1)} ms, ${Math.round(share * 100)} % of the work`,
    );
    const long = stretches.filter((ms) => ms > STRETCH_MS);
    assert.ok(peakMib < MEMORY_LIMIT_MIB, `${name} took ${peakMib} MiB`);
    assert.ok(long.length <= LONG_STRETCHES_MAX, `${name} kept the main thread busy for ${long} ms`);
    assert.ok(share < MAIN_SHARE_MAX, `the main thread did ${share} of the work of ${name}`);
    return result;
  };

  await Promise.all([work.digestFile(import.meta.filename), work.digestFile(import.meta.filename)]);
  const idle = process.memoryUsage.rss();
  const tree = { kind: "directory", directory: join(at, "context"), ignorePatterns: [] } as const;
  const layersDirectory = join(at, "layers");
  const sources = [{ kind: "path", tree, path: "/" }] as const;
  await using selection = await step("select", () =>
    work.selectCopy({ sources, destination: "/x/", temporaryDirectory: at }),
  );
  const { layer } = await step("write", () => work.writeCopyLayer({ selection, base: [], layersDirectory }));
  for (const compression of ["gzip", "zstd"] as const) {
    const blobPath = join(at, compression);
    const packed = await step(`pack ${compression}`, () =>
      work.packLayer({ layer, compression, level: 1, blobPath }),
    );
    const request = { ...packed, layersDirectory: join(at, `from-${compression}`), mediaType: "" };
    await step(`ingest ${compression}`, () =>
      work.ingestLayer({ ...request, bytes: createReadStream(blobPath) }),
    );
  }
  if (process.platform === "linux" && process.getuid?.() === 0) {
    await step("materialise", () => work.materialiseLayer({ layer, below: [], directory: join(at, "fs") }));
    // As a RUN leaves it.
    const upper = { directory: join(at, "fs"), indexPath: join(at, "upper-index"), id: "upper", base: [] };
    // Its few files are looked at in this thread, which loads what that takes.
    const run = await work.indexUpperDirectory(upper);
    const blobPath = join(at, "upper-blob");
    const packed = await step("pack upper directory", () =>
      work.packLayer({ layer: run, compression: "zstd", level: 1, blobPath }),
    );
    assert.equal(packed.diffId, layer.diffId);
  }
});

function cpuMs({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1000;
}
