import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { runMissing } from "../build-bench.ts";
import { type Machine, openTravellingBench, type TravellingBench } from "./travelling-bench.ts";

/** A RUN whose result nobody makes twice, used by a stage of another kind; nothing of `tools` is in the result. */
const DOCKERFILE = `FROM busybox AS tools
ARG SECRET_WORD=
WORKDIR /tools
COPY tool.sh .
RUN head -c 16 /dev/urandom | od > random

FROM busybox AS builder
COPY --from=tools /tools /tools
COPY src /src
RUN --mount=type=bind,from=tools,source=/tools,target=/mnt cat /mnt/random /src/main > /built

FROM busybox
WORKDIR /app
COPY --from=builder /built .
COPY readme .
CMD ["cat", "built"]
`;
const FILES = { Dockerfile: DOCKERFILE, "tool.sh": "true\n", "src/main": "main\n", readme: "read me\n" };

describe("a cache in a directory", { skip: runMissing }, () => {
  let bench: TravellingBench;
  let first: Machine;
  let context: string;
  let cache: string;
  let digest: string;
  before(async () => {
    bench = await openTravellingBench();
    context = bench.bench.context(FILES);
    cache = join(bench.bench.directory, "cache");
    first = await bench.openMachine();
    const built = await first.build(context, [
      "--cache-to",
      `type=local,dest=${cache},mode=max`,
      "-o",
      `type=oci,dest=${cache}.tar`,
      "--build-arg",
      "SECRET_WORD=nobody-else",
    ]);
    digest = built.digest;
    assert.equal(built.cached.length, 0, built.log);
  });
  after(() => bench[Symbol.dispose]());
  const readCache = (directory: string) => {
    const blob = (name: string) => readFileSync(join(directory, "blobs/sha256", name.slice(7)), "utf8");
    const index = JSON.parse(readFileSync(join(directory, "index.json"), "utf8"));
    const manifest = JSON.parse(blob(index.manifests[0].digest));
    return {
      index,
      manifest,
      document: JSON.parse(blob(manifest.config.digest)),
      text: blob(manifest.config.digest),
    };
  };
  const args = ["--cache-from"];
  const archive = (name: string) => ["-o", `type=oci,dest=${join(bench.bench.directory, name)}`];

  it("is an OCI layout with an image manifest, and holds no more than digests, times and random names", () => {
    const { index, manifest, text, document } = readCache(cache);
    assert.deepEqual(JSON.parse(readFileSync(join(cache, "oci-layout"), "utf8")), {
      imageLayoutVersion: "1.0.0",
    });
    assert.equal(index.manifests[0].annotations["org.opencontainers.image.ref.name"], "latest");
    assert.equal(manifest.config.mediaType, "application/vnd.slipway.cache.v1+json");
    // Nine steps make layers; mode=max has them all.
    assert.equal(document.records.length, 9);
    assert.equal(manifest.layers.length, 9);
    assert.doesNotMatch(text, /nobody-else|urandom|tool|main/);
  });

  it("lets a clean store build the same image without a step that runs", async () => {
    const machine = await bench.openMachine();
    const built = await machine.build(context, [
      ...args,
      `type=local,src=${cache}`,
      ...archive("second.tar"),
      "--build-arg",
      "SECRET_WORD=nobody-else",
    ]);
    assert.deepEqual(built.ran, [], built.log);
    assert.equal(built.digest, digest);
    // What came is kept: the third build needs no cache but its own for what it has fetched.
    const again = await machine.build(context, [
      "--build-arg",
      "SECRET_WORD=nobody-else",
      ...archive("third.tar"),
    ]);
    assert.equal(again.digest.length, digest.length);
  });

  it("is kept reachable when the image goes into the store only", async () => {
    const machine = await bench.openMachine();
    await machine.build(context, [
      ...args,
      `type=local,src=${cache}`,
      "-t",
      "app",
      "--build-arg",
      "SECRET_WORD=nobody-else",
    ]);
    const { code, stdout, stderr } = await machine.run(["cat", "app:/app/readme"]);
    assert.equal(code, 0, stderr);
    assert.equal(stdout, "read me\n");
  });

  it("runs what changed, and no more", async () => {
    const changed = bench.bench.context({ ...FILES, "src/main": "changed\n" });
    const machine = await bench.openMachine();
    const built = await machine.build(changed, [
      ...args,
      `type=local,src=${cache}`,
      ...archive("changed.tar"),
      "--build-arg",
      "SECRET_WORD=nobody-else",
    ]);
    assert.deepEqual(
      built.ran.map((name) => name.replace(/^\[[^\]]*\] /, "").slice(0, 14)).sort(),
      ["COPY --from=bu", "COPY readme .", "COPY src /src", "RUN --mount=ty"],
      built.log,
    );
  });

  it("mode=min has the layers of the result only; what is needed of the others is made again, under its own name", async () => {
    const min = join(bench.bench.directory, "min");
    await first.build(context, [
      "--cache-to",
      `type=local,dest=${min}`,
      "--build-arg",
      "SECRET_WORD=nobody-else",
    ]);
    const { manifest, document } = readCache(min);
    assert.equal(document.records.length, 9);
    assert.equal(manifest.layers.length, 3);

    const machine = await bench.openMachine();
    const same = await machine.build(context, [
      ...args,
      `type=local,src=${min}`,
      ...archive("same.tar"),
      "--build-arg",
      "SECRET_WORD=nobody-else",
    ]);
    assert.deepEqual([same.ran, same.digest], [[], digest], same.log);

    // Another command in the builder stage needs the files of what it stands on and mounts, also with one turn for all RUNs.
    const changed = bench.bench.context({
      ...FILES,
      Dockerfile: DOCKERFILE.replace("cat /mnt", "cat  /mnt"),
    });
    const other = await (await bench.openMachine()).build(changed, [
      "--jobs=1",
      ...args,
      `type=local,src=${min}`,
      ...archive("other.tar"),
      "--build-arg",
      "SECRET_WORD=nobody-else",
    ]);
    assert.ok(
      other.ran.some((name) => name.includes("urandom")),
      other.log,
    );
    assert.ok(other.log.includes("has no files of it any more, so it runs again"), other.log);
    assert.ok(
      other.cached.includes("[stage-2 2/4] WORKDIR /app") &&
        !other.ran.includes("[stage-2 2/4] WORKDIR /app"),
      other.log,
    );
  });

  it("keeps other tags of the layout; reset leaves nothing of what was there", async () => {
    const shared = join(bench.bench.directory, "shared");
    for (const tag of ["one", "two"])
      await first.build(context, [
        "--cache-to",
        `type=local,dest=${shared},tag=${tag}`,
        "--build-arg",
        "SECRET_WORD=nobody-else",
      ]);
    assert.equal(readCache(shared).index.manifests.length, 2);
    writeFileSync(join(shared, "blobs/sha256/left-over"), "");
    await first.build(context, [
      "--cache-to",
      `type=local,dest=${shared},tag=three,reset`,
      "--build-arg",
      "SECRET_WORD=nobody-else",
    ]);
    const { index, manifest } = readCache(shared);
    assert.equal(index.manifests.length, 1);
    assert.equal(readdirSync(join(shared, "blobs/sha256")).length, manifest.layers.length + 2);
  });

  it("that is not there is a warning; one that is damaged, or a place that is a file, an error", async () => {
    const machine = await bench.openMachine();
    const nowhere = join(bench.bench.directory, "nowhere");
    const built = await machine.build(context, [...args, `type=local,src=${nowhere}`, "--target", "tools"]);
    assert.match(built.log, /WARNING: the build goes on without the cache ".*nowhere": Cannot open/i);
    assert.ok(!existsSync(nowhere));

    const damaged = join(bench.bench.directory, "damaged");
    mkdirSync(damaged);
    const { manifest } = readCache(cache);
    assert.equal(manifest.schemaVersion, 2);
    await first.build(context, ["--cache-to", `type=local,dest=${damaged}`, "--target", "tools"]);
    const { manifest: own } = readCache(damaged);
    writeFileSync(join(damaged, "blobs/sha256", own.config.digest.slice(7)), "x".repeat(own.config.size));
    const refused = await machine.run(["build", "--cache-from", `type=local,src=${damaged}`, context]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /Cannot use the blob .*: its bytes have another digest/);

    const toFile = await machine.run([
      "build",
      "--target",
      "tools",
      "--cache-to",
      `type=local,dest=${cache}.tar`,
      context,
    ]);
    assert.equal(toFile.code, 1);
    const refusal = `Cannot write "${cache}.tar": a part of the path is no directory`;
    assert.ok(toFile.stderr.includes(refusal), toFile.stderr);
    const ignored = await machine.build(context, [
      "--target",
      "tools",
      "--cache-to",
      `type=local,dest=${cache}.tar,ignore-error=true`,
    ]);
    assert.ok(ignored.log.includes(`the cache is not written: ${refusal}`), ignored.log);
  });
});
