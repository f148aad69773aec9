import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { runSlipway } from "../slipway.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

describe("plan", { skip: runMissing }, () => {
  let bench: BuildBench;
  let directory: string;
  const dockerfile = `FROM busybox AS builder
COPY package.json /
RUN echo installed > /modules
COPY src/ /app/
RUN cat /app/* > /built; date +%N >> /date; touch /ran
FROM busybox
WORKDIR /srv
COPY --from=builder /built /srv/built
RUN cp built copied
`;
  beforeEach(async () => {
    bench = await openBuildBench();
    directory = bench.context({ Dockerfile: dockerfile, "package.json": "{}", "src/a.ts": "a" });
  });
  afterEach(() => bench[Symbol.dispose]());

  const write = (name: string, text: string) => writeFileSync(join(directory, name), text);
  const build = async (...args: readonly string[]): Promise<string[]> => {
    const { code, stderr } = await bench.run(["build", "--progress=plain", ...args, directory]);
    assert.equal(code, 0, stderr);
    // `#4 [builder 2/5] RUN x`, and later `#4 CACHED`.
    const cached = new Set([...stderr.matchAll(/^(#\d+) CACHED$/gm)].map(([, id]) => id));
    return [...stderr.matchAll(/^(#\d+) \[(?:[\w-]+ )?\d+\/\d+\] (?!FROM)(.*)$/gm)].map(
      ([, id, name]) => `${cached.has(id!) ? "hit" : "run"} ${name}`,
    );
  };
  interface Predicted {
    readonly name: string;
    readonly outcome: string;
    readonly key?: string;
    readonly dependsOn?: string;
  }
  const planJson = async (...args: readonly string[]): Promise<readonly Predicted[]> => {
    const { code, stdout, stderr } = await bench.run(["plan", "--format", "json", ...args, directory]);
    assert.equal(code, 0, stderr);
    return (JSON.parse(stdout) as { readonly steps: readonly Predicted[] }).steps;
  };
  const planText = async (...args: readonly string[]): Promise<string[]> => {
    const { code, stdout, stderr } = await bench.run(["plan", ...args, directory]);
    assert.equal(code, 0, stderr);
    return stdout.trimEnd().split("\n");
  };
  /** What is not unknown comes true. */
  const assertComesTrue = async (predicted: readonly Predicted[], ...args: readonly string[]) => {
    const built = (await build(...args)).sort();
    const said = predicted.filter(({ outcome }) => outcome !== "unknown");
    for (const { name, outcome } of said)
      assert.ok(built.includes(`${outcome} ${name}`), `${outcome} ${name} of ${built}`);
    assert.equal(built.length, predicted.length);
    return said.length;
  };

  test("nothing is there: all that can be known runs, and nothing has run", async () => {
    const predicted = await planJson();
    assert.deepEqual(
      predicted.map(({ name, outcome }) => `${outcome} ${name.split(" ", 1)[0]}`),
      ["run COPY", "run RUN", "run COPY", "run RUN", "run WORKDIR", "unknown COPY", "unknown RUN"],
    );
    assert.ok(!existsSync(join(bench.root, "m/1")), "nothing was unpacked");
    await assertComesTrue(predicted);
  });

  test("an unchanged build is all hits, with the keys of the build", async () => {
    await build();
    const predicted = await planJson();
    assert.ok(predicted.every(({ outcome }) => outcome === "hit"));
    const explained = JSON.parse((await bench.run(["explain", "--format", "json"])).stdout);
    const keys = (steps: readonly Predicted[]) => steps.map(({ name, key }) => `${name} ${key}`);
    await build();
    const again = JSON.parse((await bench.run(["explain", "--format", "json"])).stdout);
    assert.deepEqual(keys(predicted), keys(again.steps));
    assert.equal(predicted.length, explained.steps.length);
  });

  test("after a change: what changed, what follows, and what only the build can tell", async () => {
    await build();
    write("src/a.ts", "A");
    const predicted = await planText();
    assert.deepEqual(predicted, [
      "hit       [builder] COPY package.json /",
      "hit       [builder] RUN echo installed > /modules",
      "will run  [builder] COPY src/ /app/: 1 file changed: src/a.ts (content)",
      'will run  [builder] RUN cat /app/* > /built; date +%N >> /date; touch /ran: its input "COPY src/ /app/" changed',
      "hit       WORKDIR /srv",
      'unknown   COPY --from=builder /built /srv/built: depends on what "RUN cat /app/* > /built; date +%N >> /date; touch /ran" writes',
      'unknown   RUN cp built copied: depends on what "COPY --from=builder /built /srv/built" writes',
      "",
      "7 steps: 3 hits, 2 will run, 2 unknown",
    ]);
    assert.equal(await assertComesTrue(await planJson()), 5);
  });

  test("what stands on a step that runs runs, whatever its files are", async () => {
    write(
      "Dockerfile",
      `FROM busybox AS other\nRUN date +%N > /x\nFROM busybox\nRUN date +%N > /a\nCOPY --from=other /x /x\nCOPY --link src /l\nRUN cat /x\n`,
    );
    await build();
    const predicted = await planJson("--no-cache-filter", "other");
    assert.deepEqual(
      predicted.map(({ outcome }) => outcome),
      ["run", "hit", "unknown", "hit", "unknown"],
    );
    const none = await planJson("--no-cache");
    assert.ok(
      none.every(({ outcome }) => outcome === "run"),
      JSON.stringify(none),
    );
    write("src/b.ts", "b");
    const changed = await planText("--build-arg", "x=y");
    assert.match(changed.join("\n"), /^will run {2}COPY --link src \/l: 1 file changed: src\/b.ts \(new\)$/m);
  });

  test("options of a build that decide what runs are taken, and so are the others", async () => {
    write("Dockerfile", "FROM busybox AS a\nARG MODE\nRUN echo $MODE\nFROM a\nRUN true\n");
    await build("--build-arg", "MODE=1");
    const same = await planText("-t", "x", "--push", "--build-arg", "MODE=1", "--progress=plain");
    assert.equal(same.at(-1), "2 steps: 2 hits");
    const other = await planText("--build-arg", "MODE=2", "--target", "a");
    assert.deepEqual(other, [
      "will run  [a] RUN echo 2: the variable MODE changed",
      "",
      "1 step: 1 will run",
    ]);
    assert.equal((await planText("--cache-ttl", "0s")).at(-1), "2 steps: 2 will run");
  });

  test("a mistake is told as by a build", async () => {
    rmSync(join(directory, "src"), { recursive: true });
    const { code, stderr } = await bench.run(["plan", directory]);
    assert.equal(code, 1);
    assert.match(stderr, /^Error: Cannot copy "\/src\/?"/);
    assert.match(stderr, /Dockerfile:4/);
  });
});

test("plan fetches no layer of an image", { skip: registryMissing }, async () => {
  await using registry = await startRegistry();
  using bench = await openBuildBench();
  const image = `${registry.host}/app:1`;
  await bench.run(["tag", "busybox", image]);
  assert.equal((await bench.run(["push", image])).code, 0);
  const file = `FROM ${image} AS other\nFROM ${image}\nWORKDIR /w\nCOPY --from=other /etc/passwd /p\n`;
  const directory = bench.context({ Dockerfile: file });
  const { code, stdout, stderr } = await runSlipway(["plan", directory], { root: `${bench.root}-2` });
  assert.equal(code, 0, stderr);
  assert.deepEqual(stdout.split("\n"), [
    "will run  WORKDIR /w: it was never built before",
    `unknown   COPY --from=other /etc/passwd /p: depends on the files of "${image}", which are not in the store`,
    "",
    "2 steps: 1 will run, 1 unknown",
    "",
  ]);
  const asked = readFileSync(registry.logPath, "utf8").matchAll(/"GET \/v2\/app\/(\w+)\/[^ ]+ HTTP/g);
  assert.deepEqual(
    Array.from(asked, ([, kind]) => kind),
    ["manifests", "blobs"],
    "a manifest and a config",
  );
});
