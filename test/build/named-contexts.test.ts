import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { writeLayeredLayout } from "../layered-image.ts";
import { makeTar } from "../make-layers.ts";
import { serveFiles } from "../serve-files.ts";
import { git, gitMissing, serveGit } from "../serve-git.ts";

describe("--build-context", () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  let count = 0;

  /** What `COPY --from=other / /in/` brings of a named context: names, without slashes. */
  async function copyFrom(value: string): Promise<string[]> {
    const name = `made-${count++}`;
    const context = bench.context({ Dockerfile: "FROM scratch\nCOPY --from=other / /in/\n" });
    const { code, stderr } = await bench.run([
      "build",
      "-t",
      name,
      "--build-context",
      `other=${value}`,
      context,
    ]);
    assert.equal(code, 0, stderr);
    const { stdout } = await bench.run(["ls", `${name}:/in`]);
    return stdout.trim().split("\n");
  }

  it("is a directory, whose own ignore file holds", async () => {
    const directory = bench.context({ a: "a", "b.log": "", ".dockerignore": "*.log" });
    assert.deepEqual(await copyFrom(directory), [".dockerignore", "a"]);
  });

  it("is an image of an OCI layout, by tag, by digest, or the only one", async () => {
    const layout = join(bench.directory, "layout");
    await writeLayeredLayout(layout, [[{ name: "of-layout" }]]);
    const index = JSON.parse(readFileSync(join(layout, "index.json"), "utf8"));
    for (const value of [layout, `${layout}:latest`, `${layout}@${index.manifests[0].digest}`]) {
      assert.deepEqual(await copyFrom(`oci-layout://${value}`), ["of-layout"], value);
    }
    const context = bench.context({ Dockerfile: "FROM other\n" });
    const { code, stderr } = await bench.run([
      "build",
      "--build-context",
      `other=oci-layout://${layout}:none`,
      context,
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /the layout has no image "none"[\s\S]*Hint: It has latest$/m);
  });

  it("is an image, by name", async () => {
    const input = makeTar([{ name: "of-image", content: "x" }]);
    assert.equal((await bench.run(["import", "-", "app:1"], { input })).code, 0);
    assert.deepEqual(await copyFrom("docker-image://app:1"), ["of-image"]);
  });

  it("is a git repository, at a branch and in a subdirectory", { skip: gitMissing }, async () => {
    const repository = join(bench.directory, "served/repo");
    mkdirSync(join(repository, "sub"), { recursive: true });
    git(repository, "init", "--quiet");
    writeFileSync(join(repository, "sub/of-git"), "x");
    git(repository, "add", "-A");
    git(repository, "commit", "--quiet", "-m", "one");
    await using server = await serveGit(join(bench.directory, "served"));
    assert.deepEqual(await copyFrom(`${server.url}/repo/.git#main:sub`), ["of-git"]);
  });

  it("is a URL, which is a directory with that file", async () => {
    await using server = await serveFiles((_, response) => response.end("x"));
    assert.deepEqual(await copyFrom(`${server.url}/of-server.txt`), ["of-server.txt"]);
  });

  it("stands for an image that FROM names", async () => {
    const layout = join(bench.directory, "base");
    await writeLayeredLayout(layout, [[{ name: "in/of-base" }]]);
    const context = bench.context({ Dockerfile: "FROM alpine:3.20\n" });
    const args = ["--build-context", `alpine:3.20=oci-layout://${layout}`, "-t", "replaced", context];
    assert.equal((await bench.run(["build", ...args])).code, 0);
    assert.equal((await bench.run(["ls", "replaced:/in"])).stdout.trim(), "of-base");
  });
});
