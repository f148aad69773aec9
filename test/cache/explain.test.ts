import assert from "node:assert/strict";
import { chmodSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";

interface Explained {
  readonly steps: readonly {
    readonly name: string;
    readonly outcome: string;
    readonly changes: readonly {
      readonly part: string;
      readonly message: string;
      readonly files?: readonly unknown[];
    }[];
  }[];
}

describe("explain", { skip: runMissing }, () => {
  let bench: BuildBench;
  let directory: string;
  const dockerfile = `FROM busybox AS builder
ARG MODE=one
COPY package.json /
RUN echo installed > /modules
COPY src/ run.sh /app/
RUN echo $MODE > /built
FROM busybox
COPY --from=builder /built /built
`;
  beforeEach(async () => {
    bench = await openBuildBench();
    directory = bench.context({
      Dockerfile: dockerfile,
      "package.json": "{}",
      "src/a.ts": "a",
      "src/c.ts": "c",
      "run.sh": "true",
    });
    chmodSync(join(directory, "run.sh"), 0o644);
    await build();
  });
  afterEach(() => bench[Symbol.dispose]());

  const build = async (...args: readonly string[]): Promise<string> => {
    const { code, stderr } = await bench.run(["build", "--progress=plain", "-t", "app", ...args, directory]);
    assert.equal(code, 0, stderr);
    return stderr;
  };
  const explain = async (): Promise<string[]> =>
    (await bench.run(["explain"])).stdout.trim().split("\n").slice(2);
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text);

  test("a first build has nothing to compare with; a second hits", async () => {
    assert.ok((await explain()).every((line) => /^MISS .*: it was never built before$/.test(line)));
    await build();
    assert.ok(
      (await explain()).every((line) => /^HIT /.test(line)),
      (await explain()).join("\n"),
    );
  });

  test("which files of a COPY changed, and what stands on it", async () => {
    write("src/a.ts", "A");
    write("src/b.ts", "b");
    rmSync(join(directory, "src/c.ts"));
    chmodSync(join(directory, "run.sh"), 0o755);
    await build();
    assert.deepEqual(await explain(), [
      "HIT    [builder] COPY package.json /",
      "HIT    [builder] RUN echo installed > /modules",
      "MISS   [builder] COPY src/ run.sh /app/: 4 files changed: run.sh (mode 0644 -> 0755), src/a.ts (content), src/b.ts (new), src/c.ts (removed)",
      'MISS   [builder] RUN echo one > /built: its input "COPY src/ run.sh /app/" changed',
      "HIT    COPY --from=builder /built /built",
    ]);
  });

  test("an argument, a command, and a base image", async () => {
    await build("--build-arg", "MODE=two");
    assert.match((await explain()).join("\n"), /RUN echo installed > \/modules: the variable MODE changed$/m);
    write("Dockerfile", dockerfile.replace("echo installed", "echo INSTALLED"));
    await build();
    assert.match((await explain()).join("\n"), /RUN echo INSTALLED > \/modules: its command changed$/m);
    await bench.run(["import", "--change", "CMD x", join(bench.directory, "busybox.tar"), "busybox"]);
    await build();
    assert.match(
      (await explain()).join("\n"),
      /COPY package.json \/: base image moved from sha256:[0-9a-f]{64} to sha256:[0-9a-f]{64}$/m,
    );
  });

  test("which files of a bind mount changed", async () => {
    write(
      "Dockerfile",
      `FROM busybox AS other
COPY package.json /d/p
FROM busybox
RUN --mount=type=bind,source=src,target=/src cat /src/* > /all
RUN --mount=type=bind,from=other,source=/d,target=/d cat /d/p > /p
`,
    );
    await build();
    write("src/a.ts", "A");
    write("src/b.ts", "b");
    await build();
    assert.match(
      (await explain()).join("\n"),
      /cat \/src\/\* > \/all: the files of the bind \/src mount changed: src\/a.ts \(content\), src\/b.ts \(new\)$/m,
    );
    write("package.json", "[]");
    await build();
    assert.match(
      (await explain()).join("\n"),
      /cat \/d\/p > \/p: the files of the bind \/d mount changed: d\/p \(content\)$/m,
    );
  });

  test("times and owners of a context are not a change", async () => {
    utimesSync(join(directory, "src/a.ts"), 1, 1);
    await build();
    assert.ok((await explain()).every((line) => /^HIT /.test(line)));
  });

  test("--no-cache and a result that was pruned are told as such", async () => {
    await build("--no-cache");
    assert.match((await explain())[0]!, /: the build was told not to use the cache$/);
    await bench.run(["rmi", "app"]);
    await bench.run(["prune", "--all"]);
    await build();
    assert.match((await explain())[0]!, /: nothing changed, but its result is no longer in the store$/);
  });

  test("--cache-ttl takes no results that are older", async () => {
    await build("--cache-ttl", "1h");
    assert.ok((await explain()).every((line) => /^HIT /.test(line)));
    await build("--cache-ttl", "0");
    assert.match((await explain())[0]!, /^MISS .*: nothing changed, but its result is too old, or no longer/);
    const { stderr } = await bench.run(["build", "--cache-ttl", "soon", directory]);
    assert.match(stderr, /^Error: Cannot use "soon" for --cache-ttl: it is no duration/);
  });

  test("a failed build is remembered, and is nothing to compare with", async () => {
    write("Dockerfile", `${dockerfile}RUN exit 3\n`);
    assert.equal((await bench.run(["build", directory])).code, 1);
    const { stdout } = await bench.run(["explain"]);
    assert.match(stdout, /^Build [0-9a-f]{12}, .* ago, failed\n/);
    assert.match(stdout, /^FAILED RUN exit 3: it was never built before$/m);
  });

  test("as JSON, and with build --explain", async () => {
    write("src/a.ts", "A");
    const text = await build("--explain");
    assert.match(text, /^Note: COPY src\/ run.sh \/app\/: 1 file changed: src\/a.ts \(content\)$/m);
    const { steps } = JSON.parse((await bench.run(["explain", "--format", "json"])).stdout) as Explained;
    const copy = steps.find(({ name }) => name.startsWith("COPY src/"))!;
    assert.deepEqual(
      [copy.outcome, copy.changes],
      [
        "miss",
        [{ part: "content", message: "1 file changed", files: [{ path: "src/a.ts", change: "content" }] }],
      ],
    );
    assert.match((await bench.run(["explain", "z"])).stderr, /^Error: Cannot find the build "z"/);
  });
});
