import assert from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";

interface Problem {
  readonly Kind: string;
  readonly ID: string;
  readonly Problem: string;
}

describe("verify", { skip: runMissing }, () => {
  let bench: BuildBench;
  const dockerfile = "FROM busybox\nCOPY a /a\nRUN echo text > /made\n";
  const build = async () => {
    const { code, stderr } = await bench.build(dockerfile, { files: { a: "content" }, args: ["-t", "app"] });
    assert.equal(code, 0, stderr);
    return stderr;
  };
  beforeEach(async () => {
    bench = await openBuildBench();
    await build();
  });
  afterEach(() => bench[Symbol.dispose]());

  const verify = async (...args: readonly string[]): Promise<Problem[]> => {
    const { code, stdout, stderr } = await bench.run(["verify", "--format", "json", ...args]);
    const problems =
      stdout.trim() === ""
        ? []
        : stdout
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line));
    assert.equal(code, problems.length === 0 ? 0 : 1, stderr);
    return problems;
  };
  const layerWith = (name: string) =>
    readdirSync(join(bench.root, "layers")).find((id) =>
      readdirSync(join(bench.root, "layers", id)).includes(name === "tar" ? "tar" : "fs"),
    )!;
  /** It is found, dropped, then all is well and the build makes it again. */
  const isMended = async (kind: string, problem: RegExp) => {
    const found = await verify();
    assert.deepEqual([...new Set(found.map(({ Kind }) => Kind))].slice(0, 1), [kind], JSON.stringify(found));
    assert.match(found[0]!.Problem, problem);
    assert.equal((await verify("--repair")).length > 0, true);
    assert.deepEqual(await verify(), []);
  };

  test("says so when all is well", async () => {
    const { code, stdout } = await bench.run(["verify"]);
    assert.deepEqual([code, stdout], [0, "The store is well\n"]);
  });

  test("a blob with other bytes; the image that needs it goes with it", async () => {
    const [image] = JSON.parse((await bench.run(["inspect", "app"])).stdout);
    writeFileSync(join(bench.root, "blobs/sha256", image.Id.slice(7)), "{}");
    await isMended("blob", /^its bytes have the digest sha256:44136fa3/);
    assert.equal((await bench.run(["inspect", "app"])).code, 1);
    await build();
    assert.equal((await bench.run(["run", "--rm", "app", "cat", "/made"])).stdout, "text\n");
  });

  test("a RUN's layer whose file was changed, at the same size", async () => {
    const path = join(bench.root, "layers", layerWith("fs"), "fs/made");
    assert.equal(readFileSync(path, "utf8"), "text\n");
    writeFileSync(path, "TEXT\n");
    await isMended("layer", /^its bytes have the digest/);
    assert.doesNotMatch(await build(), /CACHED.*CACHED/s);
    assert.equal((await bench.run(["run", "--rm", "app", "cat", "/made"])).stdout, "text\n");
  });

  test("a file of a RUN's layer with another mode", async () => {
    chmodSync(join(bench.root, "layers", layerWith("fs"), "fs/made"), 0o600);
    await isMended("layer", /"\/made" has another owner or mode/);
  });

  test("an index that is cut off, and one that is gone", async () => {
    const path = join(bench.root, "layers", layerWith("fs"), "index");
    truncateSync(path, 20);
    await isMended("layer", /is no layer index/);
    await build();
    rmSync(join(bench.root, "layers", layerWith("fs"), "index"));
    await isMended("layer", /is missing/);
  });

  test("the index that an image's layer left: cut off, overwritten, under a name that no layer has", async () => {
    const [image] = JSON.parse((await bench.run(["inspect", "busybox"])).stdout);
    const keptPath = join(bench.root, "indexes", image.RootFS.Layers[0].slice("sha256:".length));
    await bench.run(["rmi", "app", "busybox"]);
    await bench.run(["prune"]);
    const bytes = readFileSync(keptPath);
    assert.deepEqual(await verify(), []);
    const damage: readonly [RegExp, (bytes: Buffer) => Buffer][] = [
      [/is no layer index$/, (whole) => whole.subarray(0, whole.length / 2)],
      // The first record says that it has no length: a reader that believed it would never come to an end.
      [/^its index is no list of entries$/, (whole) => whole.fill(0, 0, 4)],
      [/^its index/, (whole) => whole.fill(0xff, 100, 1000)],
      // The footer's count of entries.
      [/^its index has \d+ entries, not 0$/, (whole) => whole.fill(0, whole.length - 56, whole.length - 48)],
    ];
    for (const [problem, change] of damage) {
      writeFileSync(keptPath, change(Buffer.from(bytes)));
      await isMended("index", problem);
      assert.deepEqual(readdirSync(join(bench.root, "indexes")), []);
    }
    writeFileSync(join(bench.root, "indexes/stray"), bytes);
    await isMended("index", /^no layer has such a name$/);
  });

  test("a record without a layer, and an unpacked layer without files", async () => {
    await bench.run(["run", "--rm", "app", "true"], { env: { SLIPWAY_DISABLE: "erofs" } });
    const database = new DatabaseSync(join(bench.root, "db.sqlite"));
    database.exec("INSERT INTO records VALUES ('r', 'nothing', 1, 1, 1, '')");
    database.exec(
      "INSERT INTO materialised (key, layer_id, used, durable, boot_id) VALUES ('k', 'l', 1, 1, '')",
    );
    database.close();
    const found = await verify("--repair");
    assert.deepEqual(found.map(({ Kind }) => Kind).sort(), ["record", "unpacked"]);
    assert.deepEqual(await verify(), []);
  });
});
