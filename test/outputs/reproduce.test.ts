import assert from "node:assert/strict";
import { chmodSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { type RunningRegistry, registryMissing, startRegistry } from "../start-registry.ts";

const DOCKERFILE =
  "FROM scratch AS builder\nCOPY a /a\nFROM scratch\nENV V=1\nCOPY --from=builder / /\nCOPY b /b\n";
const EPOCH = ["--source-date-epoch=1000", "--progress=quiet"];

describe("build --reproduce", { skip: registryMissing }, () => {
  let bench: BuildBench;
  let registry: RunningRegistry;
  let original: string;
  let other: string;
  before(async () => {
    bench = await openBuildBench();
    registry = await startRegistry();
    original = `${registry.host}/original:1`;
    other = join(bench.directory, "other-store");
    const pushed = await bench.run(["build", ...EPOCH, "-t", original, "--push", context()]);
    assert.equal(pushed.code, 0, pushed.stderr);
  });
  after(async () => {
    await registry[Symbol.asyncDispose]();
    bench[Symbol.dispose]();
  });

  function context(files: Readonly<Record<string, string>> = {}): string {
    const directory = bench.context({ Dockerfile: DOCKERFILE, a: "a\n", b: "b\n", ...files });
    for (const name of ["a", "b"]) {
      chmodSync(join(directory, name), 0o644);
      utimesSync(join(directory, name), 1000, 1000);
    }
    return directory;
  }
  /** With a store that has nothing of the original. */
  const reproduce = (directory: string, ...args: readonly string[]) =>
    bench.run(["--root", other, "build", ...EPOCH, "--reproduce", original, ...args, directory]);

  it("says equal for the same inputs, in another store", async () => {
    const { code, stdout, stderr } = await reproduce(context());
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `equal: linux/amd64 is ${original}, byte for byte\n`);
  });

  it("compares diff IDs where the encoders differ, and says so", async () => {
    const { code, stdout } = await reproduce(context(), "-o", "type=image,compression=zstd");
    assert.equal(code, 0);
    assert.match(stdout, /^equal: .*same diff IDs.*the encoders of its layers differ\n$/);
  });

  it("names the first file and what of it differs, and fails", async () => {
    const changed = context();
    chmodSync(join(changed, "b"), 0o600);
    const mode = await reproduce(changed);
    assert.equal(mode.code, 1);
    assert.match(mode.stdout, /^different: .*: \/b in layer 2 \(mode 0644 -> 0600\)\n {2}made by COPY b \/b/);

    const content = await reproduce(context({ a: "other\n" }));
    assert.match(content.stdout, /: \/a in layer 1 \(content 2B -> 6B\)\n/);

    const file = context({ Dockerfile: `${DOCKERFILE}COPY b /c\n` });
    assert.match((await reproduce(file)).stdout, /: \/c in layer 3 \(only the new image has it\)\n/);

    const time = await bench.run([
      ...["--root", other, "build", "--progress=quiet", "--source-date-epoch=2000", "--reproduce", original],
      ...["-o", "type=image,rewrite-timestamp=all", context()],
    ]);
    assert.match(time.stdout, /\(time .* -> 1970-01-01T00:33:20Z\)\n.*\n {2}Hint: .*--source-date-epoch/);
  });

  it("names the field of the config that differs", async () => {
    const { code, stdout } = await reproduce(context({ Dockerfile: DOCKERFILE.replace("V=1", "V=2") }));
    assert.equal(code, 1);
    assert.match(stdout, /: the field config\.Env\[1\] of its config was "V=1" and is "V=2"\n$/);
  });

  it("takes nothing from the cache", { skip: runMissing }, async () => {
    const dockerfile = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /uuid\n";
    const first = await bench.build(dockerfile, { args: ["-t", "random", ...EPOCH] });
    assert.equal(first.code, 0, first.stderr);
    const again = await bench.build(dockerfile, { args: [...EPOCH, "--reproduce", "random"] });
    assert.equal(again.code, 1);
    assert.match(again.stdout, /: \/uuid in layer 2 \(content, time .*\)\n {2}made by RUN .*uuid/);
  });

  it("looks for the original before it builds", async () => {
    const { code, stdout, stderr } = await bench.run([
      ...["build", ...EPOCH, "--reproduce", `${registry.host}/missing:1`, context()],
    ]);
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /missing:1/);
  });
});
