import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { pushLayout, writeLayeredLayout } from "../layered-image.ts";
import type { MemberLike } from "../make-layers.ts";
import { type RunningRegistry, registryMissing, startRegistry } from "../start-registry.ts";

/** Bottom first. */
const LAYERS: readonly (readonly MemberLike[])[] = [
  [
    { name: "base/" },
    { name: "base/f", content: "at the bottom\n" },
    { name: "etc/" },
    { name: "etc/gone", content: "hidden\n" },
    { name: "etc/old", content: "old\n" },
    { name: "sub/" },
    { name: "sub/low", content: "hidden\n" },
  ],
  [
    { name: "etc/" },
    { name: "etc/.wh.gone" },
    { name: "etc/middle", content: "in the middle\n" },
    { name: "lib", type: "symlink", linkName: "usr/lib" },
    { name: "usr/" },
    { name: "usr/lib/" },
    { name: "usr/lib/x", content: "usrmerge\n" },
  ],
  [
    { name: "etc/" },
    { name: "etc/top", content: "on top\n" },
    { name: "etc/to-middle", type: "symlink", linkName: "middle" },
    { name: "etc/to-bottom", type: "symlink", linkName: "/base/f" },
    { name: "hard", type: "hardlink", linkName: "etc/middle" },
    { name: "sub/" },
    { name: "sub/.wh..wh..opq" },
    { name: "sub/new", content: "new\n" },
  ],
];

describe("COPY --from=IMAGE", { skip: registryMissing }, () => {
  let registry: RunningRegistry;
  let digests: readonly string[];
  /** Of the same image without hard links. */
  const unlinkedDigests: string[] = [];
  before(async () => {
    registry = await startRegistry();
    using bench = await openBuildBench();
    const layout = join(bench.directory, "layout");
    ({ digests } = await writeLayeredLayout(layout, LAYERS));
    await pushLayout(layout, `${registry.host}/layered:1`);
    const unlinked = join(bench.directory, "unlinked");
    await writeLayeredLayout(
      unlinked,
      LAYERS.map((layer) => layer.filter(({ type }) => type !== "hardlink")),
    ).then((image) => unlinkedDigests.push(...image.digests));
    await pushLayout(unlinked, `${registry.host}/layered:unlinked`);
  });
  after(() => registry[Symbol.asyncDispose]());

  /** Which layers (0 is the bottom) the registry is asked for, one number for each request, sorted. */
  async function fetchedBy(work: () => Promise<void>): Promise<number[]> {
    const start = readFileSync(registry.logPath, "utf8").length;
    await work();
    const log = readFileSync(registry.logPath, "utf8").slice(start);
    const blobs = [...log.matchAll(/"GET \/v2\/layered\/blobs\/([^ ]+) HTTP/g)].map(([, digest]) => digest!);
    return blobs
      .map((digest) => Math.max(digests.indexOf(digest), unlinkedDigests.indexOf(digest)))
      .filter((layer) => layer >= 0)
      .sort();
  }
  const copy = (source: string, tag = "1") =>
    `FROM scratch\nCOPY --from=${registry.host}/layered:${tag} ${source} /copied/\n`;
  async function fetchedToCopy(
    source: string,
    expected: Readonly<Record<string, string>>,
    tag?: string,
  ): Promise<number[]> {
    using bench = await openBuildBench();
    const destination = join(bench.directory, "out");
    const fetched = await fetchedBy(() =>
      build(bench, copy(source, tag), [`-otype=local,dest=${destination}`]),
    );
    for (const [path, text] of Object.entries(expected)) {
      assert.equal(readFileSync(join(destination, "copied", path), "utf8"), text);
    }
    return fetched;
  }
  async function build(bench: BuildBench, dockerfile: string, args: readonly string[] = []): Promise<void> {
    const { code, stderr } = await bench.build(dockerfile, { args });
    assert.equal(code, 0, stderr);
  }

  it("asks for no layer below the one that has the file", async () => {
    assert.deepEqual(await fetchedToCopy("/etc/top", { top: "on top\n" }), [2]);
    assert.deepEqual(await fetchedToCopy("/etc/middle", { middle: "in the middle\n" }), [1, 2]);
    assert.deepEqual(await fetchedToCopy("/etc/old", { old: "old\n" }), [0, 1, 2]);
    assert.deepEqual(await fetchedToCopy("/etc/top /etc/middle", { top: "on top\n" }), [1, 2]);
  });

  it("follows symlinks and hard links as far down as they lead", async () => {
    assert.deepEqual(await fetchedToCopy("/etc/to-middle", { "to-middle": "in the middle\n" }), [1, 2]);
    assert.deepEqual(await fetchedToCopy("/etc/to-bottom", { "to-bottom": "at the bottom\n" }), [0, 1, 2]);
    assert.deepEqual(await fetchedToCopy("/lib/x", { x: "usrmerge\n" }), [1, 2]);
    assert.deepEqual(await fetchedToCopy("/hard", { hard: "in the middle\n" }), [1, 2]);
  });

  it("asks for all layers of a directory, unless one of them hides what is below it", async () => {
    assert.deepEqual(await fetchedToCopy("/etc", { top: "on top\n", old: "old\n" }), [0, 1, 2]);
    assert.deepEqual(await fetchedToCopy("/etc/t*p", { top: "on top\n" }), [0, 1, 2]);
    assert.deepEqual(await fetchedToCopy("/usr/lib", { x: "usrmerge\n" }), [0, 1, 2]);
  });

  it("asks for no more with --parents, where no wildcard is in the way, unless a hard link leads further down", async () => {
    const top = { "etc/top": "on top\n" };
    const parents = (source: string, expected: Readonly<Record<string, string>>, tag = "unlinked") =>
      fetchedToCopy(`--parents ${source}`, expected, tag);
    assert.deepEqual(await parents("/etc/top", top), [2]);
    assert.deepEqual(await parents("/etc/./top", { top: "on top\n" }), [2]);
    assert.deepEqual(await parents("/usr/lib/x", { "usr/lib/x": "usrmerge\n" }), [1, 2]);
    assert.deepEqual(await parents("/etc", { "etc/old": "old\n" }), [0, 1, 2]);
    assert.deepEqual(await parents("/etc/t*p", top), [0, 1, 2]);
    assert.deepEqual(await parents("/etc/top", top, "1"), [0, 1, 2]);
  });

  it("asks for no more to mount a path in a RUN, unless a hard link leads further down", {
    skip: runMissing,
  }, async () => {
    const fetchedToMount = async (tag: string, source: string, expected: string) => {
      using bench = await openBuildBench();
      const mount = `--mount=from=${registry.host}/layered:${tag},source=${source},target=/mounted`;
      const run = `RUN ${mount} test "$(cat $(find /mounted -type f))" = "${expected}"`;
      return await fetchedBy(() => build(bench, `FROM busybox\n${run}\n`));
    };
    assert.deepEqual(await fetchedToMount("unlinked", "/etc/top", "on top"), [2]);
    assert.deepEqual(await fetchedToMount("unlinked", "/sub", "new"), [2]);
    assert.deepEqual(await fetchedToMount("unlinked", "/base", "at the bottom"), [0, 1, 2]);
    assert.deepEqual(await fetchedToMount("1", "/etc/top", "on top"), [0, 1, 2]);
  });

  it("takes an opaque directory and a whiteout at their word", async () => {
    assert.deepEqual(await fetchedToCopy("/sub", { new: "new\n" }), [2]);
    using bench = await openBuildBench();
    const fetched = await fetchedBy(async () => {
      const { code, stderr } = await bench.build(copy("/etc/gone"));
      assert.equal(code, 1);
      assert.match(stderr, /Cannot copy "\/etc\/gone": it is not there/);
    });
    assert.deepEqual(fetched, [1, 2]);
  });

  it("fetches a layer once for all stages of a build that need it", async () => {
    using bench = await openBuildBench();
    const from = `${registry.host}/layered:1`;
    const stage = (name: string, source: string) =>
      `FROM scratch AS ${name}\nCOPY --from=${from} ${source} /${name}\n`;
    const dockerfile = `${stage("a", "/etc/old")}${stage("b", "/base/f")}FROM ${from}\nCOPY --from=a / /\nCOPY --from=b / /\nCOPY --from=${from} /etc/t* /\n`;
    assert.deepEqual(await fetchedBy(() => build(bench, dockerfile)), [0, 1, 2]);
  });

  it("fetches nothing for a layer that the store has", async () => {
    using bench = await openBuildBench();
    await build(bench, copy("/etc/old"));
    assert.deepEqual(await fetchedBy(() => build(bench, copy("/etc"))), []);
  });

  it("fetches a layer once for two processes on one store", async () => {
    using bench = await openBuildBench();
    const fetched = await fetchedBy(async () => {
      await Promise.all([build(bench, copy("/etc/old")), build(bench, copy("/base/f"))]);
    });
    assert.deepEqual(fetched, [0, 1, 2]);
  });

  const base = () => `FROM ${registry.host}/layered:1\n`;
  async function fetchedToBuild(bench: BuildBench, dockerfile: string): Promise<number[]> {
    return fetchedBy(() => build(bench, base() + dockerfile));
  }

  it("asks for no layer below the one that settles where a COPY goes", async () => {
    const cases: readonly (readonly [string, readonly number[]])[] = [
      ["COPY --from=files /f /etc/top\n", [2]],
      ["COPY --from=files /f /etc/middle\n", [1, 2]],
      ["COPY --from=files /f /sub/\n", [2]],
      ["COPY --from=files /f /etc/fresh\n", [0, 1, 2]],
      ["COPY --from=files /f /lib/x\n", [1, 2]],
      ["COPY --link --from=files /f /etc/fresh\n", []],
      ["WORKDIR /etc\n", [2]],
      ["WORKDIR /usr/lib\n", [1, 2]],
      ["WORKDIR /sub/made\n", [2]],
      ["WORKDIR /made\n", [0, 1, 2]],
    ];
    for (const [instruction, expected] of cases) {
      using bench = await openBuildBench();
      const fetched = await fetchedBy(() =>
        build(bench, `FROM scratch AS files\nCOPY <<E /f\nE\n${base()}${instruction}`),
      );
      assert.deepEqual(fetched, expected, instruction);
    }
  });

  it("unpacks no layer of a destination that nobody reads, and keeps what was fetched", async () => {
    using bench = await openBuildBench();
    const layersHere = () => readdirSync(join(bench.root, "layers")).length;
    const before = layersHere();
    assert.deepEqual(await fetchedToBuild(bench, "COPY <<E /etc/fresh\nE\nWORKDIR /made\n"), [0, 1, 2]);
    assert.equal(layersHere(), before + 2, "those of COPY and WORKDIR");
    assert.equal(readdirSync(join(bench.root, "indexes")).length, LAYERS.length);
    const { stdout } = await bench.run(["images", "--format={{.Repository}} {{.SizeBytes}}"]);
    const sizeOf = (repository: string) =>
      Number(new RegExp(`^${repository} ([0-9]+)$`, "m").exec(stdout)?.[1]);
    assert.ok(sizeOf(`${registry.host}/layered`) > 0, stdout);
    assert.ok(sizeOf("<none>") > sizeOf(`${registry.host}/layered`), stdout);
    const target = join(bench.directory, "out");
    const dockerfile = `${base()}COPY <<E /etc/fresher\nE\n`;
    const fetched = await fetchedBy(() => build(bench, dockerfile, [`-otype=local,dest=${target}`]));
    assert.deepEqual(fetched, [], "the blobs are here");
    assert.equal(readFileSync(join(target, "etc/old"), "utf8"), "old\n");
    assert.equal((await bench.run(["verify"])).code, 0);
  });

  it("unpacks a layer of a destination at once where another step reads it", async () => {
    using bench = await openBuildBench();
    const layersHere = () => readdirSync(join(bench.root, "layers")).length;
    const before = layersHere();
    const stages = `FROM scratch\nCOPY --from=destination /etc /etc\n`;
    const dockerfile = `FROM ${registry.host}/layered:1 AS destination\nCOPY <<E /etc/fresh\nE\n${stages}`;
    assert.deepEqual(await fetchedBy(() => build(bench, dockerfile)), [0, 1, 2]);
    assert.equal(layersHere(), before + LAYERS.length + 2);
    assert.ok(!existsSync(join(bench.root, "indexes")));
  });

  it("fetches nothing for a destination whose indexes outlived its layers", async () => {
    using bench = await openBuildBench();
    await fetchedToBuild(bench, "COPY <<E /etc/fresh\nE\n");
    const remove = async (...args: readonly string[]) => {
      const { code, stderr } = await bench.run(args);
      assert.equal(code, 0, stderr);
    };
    await remove("rmi", `${registry.host}/layered:1`);
    await remove("prune");
    assert.deepEqual(readdirSync(join(bench.root, "layers")).length, 1, "that of busybox");
    const again = () => fetchedToBuild(bench, "COPY <<E /etc/fresher\nE\nWORKDIR /made\n");
    assert.deepEqual(await again(), []);
    await remove("rmi", `${registry.host}/layered:1`);
    await remove("prune", "--all");
    assert.equal(
      existsSync(join(bench.root, "indexes")) && readdirSync(join(bench.root, "indexes")).length,
      0,
    );
    assert.deepEqual(await again(), [0, 1, 2]);
  });
});
