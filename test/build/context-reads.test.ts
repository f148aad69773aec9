import assert from "node:assert/strict";
import { existsSync, globSync, linkSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { runCommand, slipwayPath } from "../slipway.ts";

/** `SLIPWAY_ENTRIES=1000000 npm test -- test/build/context-reads.test.ts` does it with that many. */
const COUNT = Number(process.env.SLIPWAY_ENTRIES ?? 3000);
const PER_DIRECTORY = 1000;

describe("a context", { skip: !existsSync("/usr/bin/strace") && "needs strace" }, () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  let count = 0;

  /** What a build opens in its context, relative to it, sorted; directories end in a slash. */
  async function openedBy(context: string): Promise<string[]> {
    const log = join(bench.directory, `trace-${count++}`);
    const command = [slipwayPath, "--root", bench.root, "build", "-t", "made", context];
    const calls = ["-f", "-ff", "-qq", "-s", "512", "-e", "trace=open,openat,getdents64"];
    const { code, stderr } = await runCommand("strace", [...calls, "-o", log, ...command]);
    assert.equal(code, 0, stderr);
    const lines = globSync(`${log}*`).flatMap((path) => readFileSync(path, "utf8").split("\n"));
    const opened = new Set<string>();
    for (const line of lines) {
      const [, path, flags] = /^open(?:at)?\([^"]*"([^"]*)", ([A-Z_|]+).*\) = \d+$/.exec(line) ?? [];
      if (path === undefined || flags === undefined) continue;
      if (path !== context && !path.startsWith(`${context}/`)) continue;
      opened.add(relative(context, path) + (flags.includes("O_DIRECTORY") ? "/" : ""));
    }
    return [...opened].sort();
  }

  it(`of ${COUNT} files has only the one read that is copied, and no directory`, async () => {
    const context = bench.context({ Dockerfile: "FROM scratch\nCOPY deep/0/7 /\n", "deep/wanted": "w" });
    for (let number = 0; number < COUNT; number++) {
      const directory = join(context, "deep", String(Math.floor(number / PER_DIRECTORY)));
      const path = join(directory, String(number % PER_DIRECTORY));
      // A link is made faster than a file; ext4 lets a file have 65,000 of them.
      if (number % PER_DIRECTORY !== 0) linkSync(join(directory, "0"), path);
      else {
        mkdirSync(directory, { recursive: true });
        writeFileSync(path, "x");
      }
    }
    assert.deepEqual(await openedBy(context), ["/", "Dockerfile", "deep/0/7"]);
  });

  it("has no directory read that the ignore file leaves out, unless a later ! reaches below it", async () => {
    const files: Record<string, string> = {
      Dockerfile: "FROM scratch\nCOPY . /\n",
      ".dockerignore": "node_modules\n!node_modules/keep\n**/build\ndocs/*\n!docs/*.md\nlogs\n",
      "src/a": "",
      "src/build/b": "",
      "docs/a.md": "",
      "docs/images/c": "",
      "node_modules/keep/y": "",
      "node_modules/keep/lib/z": "",
      "logs/today/d": "",
    };
    for (let number = 0; number < 50; number++) files[`node_modules/drop${number}/lib/index.js`] = "";
    const opened = await openedBy(bench.context(files));
    const directories = opened.filter((path) => path.endsWith("/"));
    assert.deepEqual(directories, [
      "/",
      "docs/",
      "node_modules/",
      "node_modules/keep/",
      "node_modules/keep/lib/",
      "src/",
    ]);
    const { stdout } = await bench.run(["ls", "-R", "made:/"]);
    assert.doesNotMatch(stdout, /drop|build|images|logs/);
  });

  it("of many files that are as they were has no file read, and no directory but those that tell that it is large", async () => {
    const files: Record<string, string> = { Dockerfile: "FROM scratch\nCOPY . /\n" };
    for (let number = 0; number < 500; number++) files[`${number % 10}/${number}`] = `${number}`;
    const context = bench.context(files);
    // Longer than a tick of the clock that stamps them.
    await sleep(120);
    const first = await openedBy(context);
    assert.equal(first.filter((path) => !path.endsWith("/")).length, 501);
    assert.deepEqual(await openedBy(context), ["/", "0/", "1/", "2/", "Dockerfile"]);
    writeFileSync(join(context, "7/7"), "8");
    await openedBy(context);
    const { stdout } = await bench.run(["cat", "made:/7/7"]);
    assert.equal(stdout, "8");
  });

  it("of many files that change between two looks is no layer under the key of the first", async () => {
    const files: Record<string, string> = { Dockerfile: "FROM scratch\nCOPY . /\n" };
    for (let number = 0; number < 400; number++) files[`${number}`] = "";
    const context = bench.context(files);
    await sleep(120);
    const build = () => bench.run(["build", "--progress=plain", "-t", "changed", context]);
    assert.equal((await build()).code, 0);
    // As if the files had been others at the first look.
    const database = new DatabaseSync(join(bench.root, "file-digests.sqlite"));
    const { changes } = database.prepare("UPDATE selections SET content = ?").run(`sha256:${"0".repeat(64)}`);
    database.close();
    assert.ok(Number(changes) > 0);
    const { code, stderr } = await build();
    assert.equal(code, 1);
    assert.match(stderr, /COPY \. \/": its files changed meanwhile/);
    const again = await build();
    assert.equal(again.code, 0);
    assert.match(again.stderr, /CACHED/);
  });
});
