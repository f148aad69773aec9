import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { pushLayout, writeLayeredLayout } from "../layered-image.ts";
import { startFaultProxy } from "../start-fault-proxy.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

const LAYERS = [
  [
    { name: "bin/" },
    { name: "bin/sh", mode: 0o755, content: runMissing ? "" : readFileSync("/bin/busybox") },
  ],
  [{ name: "second", content: "2" }],
  [{ name: "third", content: "3" }],
];

describe("the layers below a RUN", { skip: runMissing || registryMissing }, () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  it("are unpacked while those above them are still on their way, where they cannot be mounted as they are", async () => {
    await using registry = await startRegistry();
    const layout = join(bench.directory, "layout");
    const { digests } = await writeLayeredLayout(layout, LAYERS);
    await pushLayout(layout, `${registry.host}/layered:1`);
    const unpacked = () => {
      const directory = join(bench.root, "m");
      const names = existsSync(directory) ? readdirSync(directory) : [];
      return names.flatMap((name) => readdirSync(join(directory, name)));
    };
    // The top is held back until the others are directories, for ten seconds at most.
    let seen: readonly string[] = [];
    const waitForOthers = async () => {
      for (let round = 0; round < 200 && !["bin", "second"].every((name) => seen.includes(name)); round++) {
        await sleep(50);
        seen = unpacked();
      }
    };
    await using proxy = await startFaultProxy(registry.host, ({ method, path }) =>
      method === "GET" && path.endsWith(digests[2]!) ? { kind: "wait", until: waitForOthers() } : undefined,
    );
    const dockerfile = `FROM ${proxy.host}/layered:1\nRUN [ -e /second ] && [ -e /third ]\n`;
    const { code, stderr } = await bench.run(
      ["build", "--progress=plain", bench.context({ Dockerfile: dockerfile })],
      { env: { SLIPWAY_DISABLE: "erofs" } },
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual(seen.toSorted(), ["bin", "second"]);
  });
});
