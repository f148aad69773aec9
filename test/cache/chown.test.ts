import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { openBuildBench, runMissing } from "../build-bench.ts";
import { runSlipway } from "../slipway.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

test("a cached COPY --chown=NAME fetches no layer of its base to know who that is", {
  skip: registryMissing || runMissing,
}, async () => {
  await using registry = await startRegistry();
  using bench = await openBuildBench();
  const image = `${registry.host}/base:1`;
  await bench.run(["tag", "busybox", image]);
  assert.equal((await bench.run(["push", image])).code, 0);
  const root = `${bench.root}-2`;
  const directory = bench.context({
    Dockerfile: `FROM ${image}\nCOPY --chown=nobody:nogroup a /a\nADD --link --chown=nobody b /b\n`,
    a: "a",
    b: "b",
  });
  const run = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await runSlipway(args, { root });
    assert.equal(code, 0, stderr);
    return stdout + stderr;
  };
  /** Blobs that were asked for since the last call. */
  let seen = 0;
  const fetched = (): string[] => {
    const log = readFileSync(registry.logPath, "utf8");
    const asked = log.slice(seen).matchAll(/"GET \/v2\/base\/blobs\/([^ ]+) HTTP/g);
    seen = log.length;
    return Array.from(asked, ([, digest]) => digest!);
  };
  const accept =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
  const response = await fetch(`http://${registry.host}/v2/base/manifests/1`, { headers: { accept } });
  const [layer] = ((await response.json()) as { readonly layers: readonly { digest: string }[] }).layers;
  const build = () => run("build", "--progress=plain", "-o", "type=cacheonly", directory);
  fetched();
  await build();
  assert.ok(fetched().includes(layer!.digest), "who nobody is stands in the layer");
  await run("rmi", image);
  await run(
    "prune",
    "--all",
    "--filter",
    "type=image-layer",
    "--filter",
    "type=blob",
    "--filter",
    "type=unpacked",
  );
  assert.equal((await build()).match(/CACHED/g)?.length, 2);
  assert.ok(!fetched().includes(layer!.digest));
  assert.match(await run("plan", directory), /2 steps: 2 hits/);
});

test("COPY --link --chown=NAME is another step where the name is another user", {
  skip: runMissing,
}, async () => {
  using bench = await openBuildBench();
  for (const uid of [1001, 2002]) {
    const dockerfile = `FROM busybox AS files
RUN echo text > /x
FROM busybox
RUN echo app:x:${uid}:${uid}::/:/bin/sh >> /etc/passwd
COPY --link --chown=app --from=files /x /x
`;
    const { code, stderr } = await bench.build(dockerfile, { args: ["-t", "owned"] });
    assert.equal(code, 0, stderr);
    const { stdout } = await bench.run(["run", "--rm", "owned", "stat", "-c", "%u:%g", "/x"]);
    assert.equal(stdout, `${uid}:${uid}\n`);
  }
});
