import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { archiveLayout, writeLayeredLayout } from "../layered-image.ts";
import { isDockerExported, listDockerFiles } from "../list-docker-files.ts";
import { assertSameFiles, listTar } from "../list-tar.ts";
import { type RunningDocker, startDocker } from "../start-docker.ts";

/** GNU tar's four forms. */
const FORMS = {
  "old GNU": ["--format=gnu"],
  "pax 0.0": ["--format=pax", "--sparse-version=0.0"],
  "pax 0.1": ["--format=pax", "--sparse-version=0.1"],
  "pax 1.0": ["--format=pax", "--sparse-version=1.0"],
} as const;

describe("sparse files in a layer", { skip: runMissing, timeout: 300_000 }, () => {
  let bench: BuildBench;
  let docker: RunningDocker;
  let files: string;
  let hash: string;
  let expected: readonly string[];
  before(async () => {
    bench = await openBuildBench();
    docker = await startDocker();
    files = join(bench.directory, "files");
    mkdirSync(files);
    const fd = openSync(join(files, "sparse"), "w");
    // More stretches of data than one header and one further block take.
    for (let at = 0; at < 40; at++) writeSync(fd, `data ${at}`, at * 64 * 1024 + 7);
    ftruncateSync(fd, 4 << 20);
    closeSync(fd);
    execFileSync("ln", ["sparse", "linked"], { cwd: files });
    execFileSync("truncate", ["-s", "1M", "hole"], { cwd: files });
    writeFileSync(join(files, "plain"), "after it");
    hash = execFileSync("sha256sum", [join(files, "sparse")])
      .toString()
      .slice(0, 64);
    await docker.run(["load", "-i", await makeArchive("expected", FORMS["pax 1.0"])]);
    expected = await listDockerFiles(docker, "expected:1");
    assert.ok(expected.includes(` linked has ${hash}  -`), "docker expands it");
  });
  after(async () => {
    await docker?.[Symbol.asyncDispose]();
    bench?.[Symbol.dispose]();
  });

  for (const [form, options] of Object.entries(FORMS)) {
    it(`are whole wherever the image goes (${form})`, async () => {
      const name = form.replace(" ", "-").toLowerCase();
      await run(["load", "-i", await makeArchive(name, options)]);
      await build(name, `FROM ${name}:1\n`);
      await same(name);
      await build(`${name}-copied`, `FROM scratch\nCOPY --from=${name}:1 / /\n`);
      await same(`${name}-copied`);
      const seen = `RUN --mount=from=${name}:1,target=/from sha256sum /from/sparse >/seen`;
      const built = await bench.build(`FROM busybox\n${seen}\n`, { args: ["-t", `${name}-seen`] });
      assert.equal(built.code, 0, built.stderr);
      assert.equal(await run(["cat", `${name}-seen:/seen`]), `${hash}  /from/sparse\n`);
      assert.equal(await run(["cat", `${name}:1:/plain`]), "after it");
      assert.equal((await run(["cat", `${name}:1:/hole`])).length, 1 << 20);
      await run(["verify"]);
      // As it came: with the digest that the image's config names.
      const saved = join(bench.directory, `${name}-saved.tar`);
      await run(["save", "-o", saved, `${name}:1`]);
      // docker takes pax's forms only, as containerd does.
      if (form !== "old GNU") await docker.run(["load", "-i", saved]);
    });
  }

  /** For `docker load`, of an image `NAME:1`. */
  async function makeArchive(name: string, options: readonly string[]): Promise<string> {
    const owner = ["--numeric-owner", "--owner=3", "--group=4", "--mtime=@1000", "--mode=go=rX"];
    const tar = execFileSync("tar", [...options, "--sparse", ...owner, "-cf", "-", "."], { cwd: files });
    assert.ok(tar.length < 1 << 20, "the archive is no smaller than the file");
    const layout = join(bench.directory, name);
    await writeLayeredLayout(layout, [tar]);
    await archiveLayout(layout, `${layout}.tar`, `${name}:1`);
    return `${layout}.tar`;
  }
  async function run(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await bench.run(args);
    assert.equal(code, 0, stderr);
    return stdout;
  }
  async function build(name: string, dockerfile: string): Promise<void> {
    const dest = join(bench.directory, `${name}-files.tar`);
    const args = ["-o", `type=tar,dest=${dest}`];
    const { code, stderr } = await bench.build(dockerfile, { args });
    assert.equal(code, 0, stderr);
  }
  async function same(name: string): Promise<void> {
    const found = await listTar(join(bench.directory, `${name}-files.tar`));
    assertSameFiles(found.filter(isDockerExported), expected);
  }
});
