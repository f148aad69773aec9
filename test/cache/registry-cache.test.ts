import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { runMissing } from "../build-bench.ts";
import { runCommand } from "../slipway.ts";
import { type RunningRegistry, registryMissing, startRegistry } from "../start-registry.ts";
import { openTravellingBench, type TravellingBench } from "./travelling-bench.ts";

/** The builder's layers are large, the result's small; one of the result stands on what is random. */
const DOCKERFILE = `FROM busybox AS builder
WORKDIR /work
COPY source .
RUN head -c 300000 /dev/urandom > large && sha256sum large source > /small

FROM busybox
COPY --from=builder /small /small
COPY readme /
`;
const FILES = { Dockerfile: DOCKERFILE, source: "source\n", readme: "read me\n" };

describe("a cache at a registry", { skip: runMissing || registryMissing }, () => {
  let bench: TravellingBench;
  let registry: RunningRegistry;
  let context: string;
  let cache: string;
  let digest: string;
  before(async () => {
    registry = await startRegistry();
    bench = await openTravellingBench();
    context = bench.bench.context(FILES);
    cache = `${registry.host}/app:cache`;
    const first = await bench.openMachine();
    const args = ["--cache-from", cache, "--cache-to", `type=registry,ref=${cache},mode=max`];
    const built = await first.build(context, [...args, "-t", `${registry.host}/app:1`, "--push"]);
    // The first build of all has no cache, which is no reason to fail.
    assert.match(built.log, /WARNING: the build goes on without the cache ".*app:cache": Cannot pull/i);
    digest = built.digest;
  });
  after(async () => {
    bench[Symbol.dispose]();
    await registry[Symbol.asyncDispose]();
  });
  async function requestsOf<T>(work: () => Promise<T>): Promise<[result: T, requests: string[]]> {
    const before = readFileSync(registry.logPath, "utf8").length;
    const result = await work();
    const log = readFileSync(registry.logPath, "utf8").slice(before);
    return [result, [...log.matchAll(/"((?:GET|PUT|POST|PATCH) [^ ]+) HTTP/g)].map((match) => match[1]!)];
  }
  const isBlob = (line: string) => /^GET \/v2\/.*\/blobs\//.test(line);
  const isUpload = (line: string) => /^(?:PUT|PATCH) .*\/blobs\//.test(line);
  async function readConfig(name: string): Promise<Record<string, unknown>> {
    const args = ["inspect", "--config", "--raw", "--tls-verify=false", `docker://${registry.host}/${name}`];
    const { code, stdout, stderr } = await runCommand("skopeo", args);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  it("lets a clean store push the same image without a step that runs, and fetches no layer", async () => {
    const machine = await bench.openMachine();
    const [built, requests] = await requestsOf(() =>
      machine.build(context, ["--cache-from", cache, "-t", `${registry.host}/again:1`, "--push"]),
    );
    assert.deepEqual(
      [built.ran.filter((name) => !name.startsWith("[internal")), built.digest],
      [[], digest],
      built.log,
    );
    // The record document alone; the layers are mounted, and the base's pushed from here.
    assert.equal(requests.filter(isBlob).length, 1, requests.join("\n"));
    assert.ok(!requests.some((line) => isUpload(line) && line.includes("/v2/app/")), requests.join("\n"));
  });

  it("gives another output the layers that it needs, and no others", async () => {
    const machine = await bench.openMachine();
    const archive = join(bench.bench.directory, "out.tar");
    const [built, requests] = await requestsOf(() =>
      machine.build(context, [
        "--cache-from",
        `type=registry,ref=${cache}`,
        "-o",
        `type=oci,dest=${archive}`,
      ]),
    );
    assert.deepEqual([built.ran, built.digest], [[], digest], built.log);
    assert.equal(requests.filter(isBlob).length, 3, requests.join("\n"));
  });

  it("pushes only what is missing, and writes what it found to another place without fetching it", async () => {
    const machine = await bench.openMachine();
    const again = ["--cache-from", cache, "--cache-to", `type=registry,ref=${cache},mode=max`];
    const [, requests] = await requestsOf(() => machine.build(context, again));
    assert.deepEqual(requests.filter(isUpload), [], requests.join("\n"));

    const changed = bench.bench.context({ ...FILES, readme: "changed\n" });
    const [built, uploads] = await requestsOf(() => machine.build(changed, again));
    assert.deepEqual(built.ran, ["[stage-1 3/3] COPY readme /"], built.log);
    // The layer and the document.
    assert.equal(
      uploads.filter((line) => line.startsWith("PUT") && isUpload(line)).length,
      2,
      uploads.join("\n"),
    );

    const elsewhere = [
      "--cache-from",
      cache,
      "--cache-to",
      `type=registry,ref=${registry.host}/elsewhere:cache,mode=max`,
    ];
    const [moved, mounts] = await requestsOf(async () =>
      (await bench.openMachine()).build(changed, elsewhere),
    );
    assert.deepEqual(moved.ran, [], moved.log);
    assert.equal(mounts.filter(isBlob).length, 1, mounts.join("\n"));
  });

  it("lies in an image that has it inside, where others do not see it", async () => {
    const first = await bench.openMachine();
    const name = `${registry.host}/inline:1`;
    const built = await first.build(context, ["--cache-to", "type=inline", "-t", name, "--push"]);
    const config = await readConfig("inline:1");
    assert.deepEqual(
      Object.keys(config).filter((key) => /cache/.test(key)),
      ["dev.slipway.cache.v1"],
    );

    const [second, requests] = await requestsOf(async () =>
      (await bench.openMachine()).build(context, [
        "--cache-from",
        name,
        "--cache-to",
        "type=inline",
        "-t",
        name,
        "--push",
      ]),
    );
    assert.deepEqual([second.ran, second.digest], [[], built.digest], second.log);
    assert.equal(requests.filter(isBlob).length, 1, requests.join("\n"));

    const byArg = `${registry.host}/by-arg:1`;
    await first.build(context, ["--build-arg", "BUILDKIT_INLINE_CACHE=1", "-t", byArg, "--push"]);
    assert.ok("dev.slipway.cache.v1" in (await readConfig("by-arg:1")));
    // An image without one is no cache.
    const without = await (await bench.openMachine()).build(context, [
      "--cache-from",
      `${registry.host}/app:1`,
    ]);
    assert.match(
      without.log,
      /WARNING: the build goes on without the cache ".*app:1": .*an image without a cache/i,
    );
  });

  it("that cannot be written fails the build, unless that does not matter", async () => {
    const machine = await bench.openMachine();
    const nowhere = "type=registry,ref=127.0.0.1:1/app:cache";
    const failed = await machine.run(["build", "--cache-to", nowhere, context]);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /Error: Cannot .*registry 127\.0\.0\.1:1 refuses the connection/);
    const built = await machine.build(context, [
      "--cache-to",
      `${nowhere},ignore-error`,
      "--cache-from",
      nowhere,
    ]);
    assert.match(built.log, /WARNING: the cache is not written: /i);
    assert.match(built.log, /WARNING: the build goes on without the cache/i);
  });
});
