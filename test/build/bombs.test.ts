import assert from "node:assert/strict";
import { execSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { DEFAULT_LIMITS } from "../../src/errors/input-limits.ts";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { makeTar } from "../make-layers.ts";
import { rawMember } from "../raw-tar.ts";
import { git, gitMissing, serveGit } from "../serve-git.ts";

/** A pax header of 600 kB without a member behind it. */
function makePaxHeader(): Buffer {
  return rawMember({ type: "x", content: `100 comment=${"a".repeat(87)}\n`.repeat(6000) });
}

describe("an archive that is a bomb is stopped by a limit, which the error names with its option:", () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  async function add(archive: Uint8Array, args: readonly string[] = []) {
    const context = bench.context({ Dockerfile: "FROM scratch\nADD a.tar /d/\n" });
    writeFileSync(join(context, "a.tar"), archive);
    return bench.run([...args, "build", "--progress=plain", "-t", "added", context]);
  }

  it("more members than anybody wants", async () => {
    const many = gzipSync(makeTar(Array.from({ length: 100 }, (_, at) => ({ name: `d/${at}` }))));
    const { code, stderr } = await add(many, ["--limit", "archive-entries=50"]);
    assert.equal(code, 1);
    assert.match(stderr, /Error: Cannot read the archive: .* than the limit of 50 \(archive-entries\)/);
    assert.match(stderr, /Hint: .*--limit archive-entries=NUMBER/);
    assert.equal((await add(many, ["--limit", "archive-entries=200"])).code, 0);
  });

  it("a name that no file system takes", async () => {
    const { code, stderr } = await add(makeTar([{ name: "n".repeat(65_536) }]));
    assert.equal(code, 1);
    assert.match(stderr, /the limit of 4096 bytes \(name-size\)/);
  });

  it("headers without end", async () => {
    const { code, stderr } = await add(Buffer.concat(Array.from({ length: 4 }, makePaxHeader)));
    assert.equal(code, 1);
    assert.match(stderr, /the limit of 1 MiB \(header-size\)/);
  });

  it("a layer or an archive of nothing but zeroes", async () => {
    // The free gigabyte and a little more, in one megabyte.
    const zeroes = gzipSync(makeTar([{ name: "zeroes", content: Buffer.alloc(1100 << 20) }]), { level: 9 });
    assert.ok(zeroes.length * DEFAULT_LIMITS.expansion < 1 << 30);
    const { code, stderr } = await add(zeroes);
    assert.equal(code, 1);
    assert.match(stderr, /unpacked it is larger than the limit of 100 times \(expansion\)/);
  });

  it("the same in bzip2 and xz, of which a few kilobytes are enough", async () => {
    const tar = join(bench.directory, "zeroes.tar");
    const content = Buffer.alloc(1100 << 20);
    writeFileSync(tar, makeTar([{ name: "zeroes", content }]));
    for (const program of ["bzip2", "xz -0"]) {
      const archive = execSync(`${program} -c ${tar}`, { maxBuffer: 8 << 20 });
      const { code, stderr } = await add(archive);
      assert.equal(code, 1, program);
      assert.match(stderr, /the limit of 100 times \(expansion\)/, program);
    }
  });

  it("an archive in an archive stays a file", async () => {
    const inner = gzipSync(makeTar([{ name: "inner", content: "x" }]));
    const { code, stderr } = await add(gzipSync(makeTar([{ name: "outer.tgz", content: inner }])));
    assert.equal(code, 0, stderr);
    assert.equal((await bench.run(["ls", "added:/d"])).stdout.trim(), "outer.tgz");
  });

  it("a Dockerfile of a gigabyte, on stdin and as a file", async () => {
    const text = Buffer.alloc(17 << 20, "# a comment\n");
    const onStdin = await bench.run(["build", "-f", "-", bench.context({})], { input: text });
    assert.match(onStdin.stderr, /the limit of 16 MiB \(dockerfile-size\)/);
    const context = bench.context({ Dockerfile: text.toString() });
    assert.match((await bench.run(["build", context])).stderr, /the limit of 16 MiB \(dockerfile-size\)/);
    const raised = await bench.run(["--limit", "dockerfile-size=20m", "check", context]);
    assert.doesNotMatch(raised.stderr, /dockerfile-size/);
  });

  it("a Dockerfile or an ignore file of a gigabyte in git, by its name there", {
    skip: gitMissing,
  }, async () => {
    await using server = await serveGit(join(bench.directory, "served"));
    for (const name of ["Dockerfile", ".dockerignore"]) {
      const repository = join(bench.directory, "served", name);
      mkdirSync(repository, { recursive: true });
      git(repository, "init", "--quiet");
      writeFileSync(join(repository, "Dockerfile"), "FROM scratch\nCOPY . /\n");
      writeFileSync(join(repository, name), Buffer.alloc(17 << 20, "# a comment\n"));
      git(repository, "add", "-A");
      git(repository, "commit", "--quiet", "-m", "one");
      const { stderr } = await bench.run(["build", `${server.url}/${name}/.git`]);
      assert.ok(
        stderr.includes(`Error: Cannot read "${name}": it is larger than the limit of 16 MiB`),
        stderr,
      );
    }
  });

  it("CVE-2023-25153: an image archive that is larger than it looks, from a pipe", async () => {
    const load = (members: Parameters<typeof makeTar>[0], args: readonly string[] = []) =>
      bench.run([...args, "load"], { input: gzipSync(makeTar(members)) });
    const large = Buffer.alloc(5 << 20, " ");
    for (const name of ["index.json", "manifest.json"]) {
      assert.match((await load([{ name, content: large }])).stderr, /the limit of 4 MiB \(manifest-size\)/);
    }
    const manifest = JSON.stringify([{ Config: "c", Layers: [] }]);
    const docker = [
      { name: "manifest.json", content: manifest },
      { name: "c", content: Buffer.alloc(9 << 20, " ") },
    ];
    assert.match((await load(docker)).stderr, /the limit of 8 MiB \(config-size\)/);
    assert.match(
      (await load(docker, ["--limit", "archive-entries=1"])).stderr,
      /the limit of 1 \(archive-entries\)/,
    );
    const [limit, message] = [
      ["--limit", "download-size=1k"],
      /the limit of 1024 bytes \(download-size\)/,
    ] as const;
    assert.match((await load([{ name: "n".repeat(3000) }, ...docker], limit)).stderr, message);
    const input = makeTar(docker);
    assert.match((await bench.run([...limit, "import", "-", "imported"], { input })).stderr, message);
  });

  it("a limit that does not exist is refused with the nearest one", async () => {
    const { code, stderr } = await bench.run(["--limit", "expansions=3", "images"]);
    assert.equal(code, 1);
    assert.match(stderr, /there is no limit "expansions"[\s\S]*Did you mean "expansion"\?/);
  });
});

it("docs/limits.md lists every limit", () => {
  const page = readFileSync(resolve(import.meta.dirname, "../../docs/limits.md"), "utf8");
  const listed = [...page.matchAll(/^\| `([a-z-]+)` /gm)].map(([, name]) => name);
  assert.deepEqual(listed, Object.keys(DEFAULT_LIMITS));
});
