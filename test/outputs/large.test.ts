import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openBuildBench } from "../build-bench.ts";
import { measureMemory } from "../measure-memory.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

/** In MiB; `SLIPWAY_LARGE=4096` is the size that the promise is about, too much for every run. */
const sizeMib = Number(process.env.SLIPWAY_LARGE ?? 0);
const skip = registryMissing || (sizeMib > 0 ? false : "set SLIPWAY_LARGE to a number of MiB");
/** 200 MB. */
const MEMORY_LIMIT_MIB = 190;
const MIB = 1 << 20;

test("a large file is built, pushed, pulled and copied on with little memory", { skip }, async (t) => {
  await using registry = await startRegistry();
  using bench = await openBuildBench();
  const context = join(bench.directory, "context");
  mkdirSync(context);
  writeFileSync(join(context, "Dockerfile"), "FROM scratch\nCOPY large /\n");
  const fd = openSync(join(context, "large"), "w");
  // Half of it cannot be compressed.
  for (let mib = 0; mib < sizeMib; mib++) {
    writeSync(fd, mib % 2 === 0 ? randomBytes(MIB) : Buffer.alloc(MIB, `${mib} `));
  }
  closeSync(fd);
  const name = `${registry.host}/large:1`;
  const other = ["--root", join(bench.directory, "other")];

  await measure(t, "build", ["--root", bench.root, "build", "-t", name, context]);
  await measure(t, "push", ["--root", bench.root, "push", name]);
  rmSync(join(context, "large"));
  await measure(t, "pull", [...other, "pull", name]);
  const dockerfile = `FROM ${name} AS large\nFROM scratch\nCOPY --from=large /large /copied\n`;
  writeFileSync(join(context, "Dockerfile"), dockerfile);
  const archive = `type=oci,dest=${join(bench.directory, "copied.tar")},compression=zstd`;
  await measure(t, "copy from the image to an archive", [...other, "build", "-o", archive, context]);
});

async function measure(t: TestContext, name: string, args: readonly string[]): Promise<void> {
  const { peakMib, seconds } = await measureMemory(args);
  t.diagnostic(`${name} of ${sizeMib} MiB: peak ${peakMib} MiB, ${seconds.toFixed(1)} s`);
  assert.ok(peakMib < MEMORY_LIMIT_MIB, `${name} took ${peakMib} MiB`);
}
