import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { runMissing } from "../build-bench.ts";
import { runCommand } from "../slipway.ts";
import { type RunningRegistry, registryMissing, startRegistry } from "../start-registry.ts";
import { openTravellingBench, type TravellingBench } from "./travelling-bench.ts";

describe("cache mounts travel", { skip: runMissing || registryMissing }, () => {
  let bench: TravellingBench;
  let registry: RunningRegistry;
  before(async () => {
    registry = await startRegistry();
    bench = await openTravellingBench();
  });
  after(async () => {
    bench[Symbol.dispose]();
    await registry[Symbol.asyncDispose]();
  });

  /** A machine of its own runs a command with two cache mounts; only what is called `tool` and `/other` is saved. */
  async function buildOn(script: string) {
    const mounts =
      "--mount=type=cache,id=tool,target=/c --mount=type=cache,target=/other --mount=type=cache,id=left,target=/l";
    const context = bench.bench.context({ Dockerfile: `FROM busybox\nRUN ${mounts} ${script}\n` });
    const cache = `type=registry,ref=${registry.host}/app:cache`;
    const machine = await bench.openMachine();
    const begin = readFileSync(registry.logPath, "utf8").length;
    const { log } = await machine.build(context, [
      "--cache-from",
      cache,
      "--cache-to",
      `${cache},mounts=tool,/other,ignore-error=false`,
    ]);
    const requests = readFileSync(registry.logPath, "utf8").slice(begin);
    return {
      log,
      uploads: requests.match(/"PUT \/v2\/app\/blobs\//g)?.length ?? 0,
      manifest: await readManifest(),
    };
  }
  async function readManifest(): Promise<{ readonly layers: readonly { readonly size: number }[] }> {
    const { stdout } = await runCommand("skopeo", [
      "inspect",
      "--raw",
      "--tls-verify=false",
      `docker://${registry.host}/app:cache`,
    ]);
    return JSON.parse(stdout);
  }

  it("are saved by id, restored where there are none, and only what changed goes up", async () => {
    const first = await buildOn(
      "mkdir -p /c/d && head -c 300000 /dev/urandom > /c/d/big && echo one > /c/small && ln -s small /c/link && chown 7:8 /c/small && " +
        "chmod 600 /c/small && sha256sum /c/d/big && echo other > /other/file && echo lost > /l/file",
    );
    const sum = /[0-9a-f]{64} {2}\/c\/d\/big/.exec(first.log)![0];
    assert.equal(first.manifest.layers.filter(({ size }) => size > 250_000).length, 1);

    const second = await buildOn(
      "sha256sum /c/d/big && stat -c '%a %u:%g %n' /c/small && readlink /c/link && cat /other/file && [ ! -e /l/file ] && echo two > /c/d/new && rm /c/small",
    );
    assert.ok(second.log.includes(sum), second.log);
    assert.match(second.log, /600 7:8 \/c\/small\n/);
    assert.match(second.log, / other\n/);
    // What is large was pushed once; the RUN's layer, the change and the document are all that is new.
    assert.ok(second.uploads <= 3, String(second.uploads));
    assert.equal(second.manifest.layers.filter(({ size }) => size > 250_000).length, 1);
    assert.ok(second.manifest.layers.length > first.manifest.layers.length);

    const third = await buildOn("sha256sum /c/d/big && cat /c/d/new && [ ! -e /c/small ] && echo gone");
    assert.ok(third.log.includes(sum), third.log);
    assert.match(third.log, / two\n[\s\S]* gone\n/);
    // Nothing changed in the mounts: they have no further layer.
    assert.equal(third.manifest.layers.length, second.manifest.layers.length);
  });

  it("that a build did not use stay as they were imported", async () => {
    const before = await readManifest();
    const context = bench.bench.context({ Dockerfile: "FROM busybox\nRUN true\n" });
    const cache = `type=registry,ref=${registry.host}/app:cache`;
    await (await bench.openMachine()).build(context, [
      "--cache-from",
      cache,
      "--cache-to",
      `${cache},mounts=tool`,
    ]);
    const after = await readManifest();
    assert.equal(after.layers.filter(({ size }) => size > 250_000).length, 1);
    assert.equal(after.layers.length, before.layers.length);
  });
});
