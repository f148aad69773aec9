import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

describe("a build that fails", { skip: runMissing }, () => {
  let bench: BuildBench;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  /** Fails, shows line `line` of the Dockerfile, says all of `mentions`, and leaves nothing half-made. */
  async function assertFails(
    dockerfile: string,
    expected: {
      readonly line: number;
      readonly mentions: readonly (string | RegExp)[];
      readonly args?: readonly string[];
    },
  ): Promise<void> {
    const { code, stderr, stdout } = await bench.build(dockerfile, {
      args: ["-t", "never", ...(expected.args ?? [])],
    });
    assert.notEqual(code, 0, "it succeeded");
    assert.match(stderr, new RegExp(`Dockerfile:${expected.line}\\b`), stderr);
    const text = dockerfile.split("\n")[expected.line - 1]!;
    assert.ok(stderr.includes(text), `the line is not shown:\n${stderr}`);
    for (const mention of expected.mentions) {
      const isThere = typeof mention === "string" ? stderr.includes(mention) : mention.test(stderr);
      assert.ok(isThere, `${mention} is missing in:\n${stderr}`);
    }
    assert.doesNotMatch(stderr, /\bat .*\.(ts|js):\d+/, "an expected failure shows no stack");
    assert.equal(stdout, "");
    assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
    const { stdout: images } = await bench.run(["images", "-q", "never"]);
    assert.equal(images, "");
  }

  it("for an unknown stage says which is near", () =>
    assertFails("FROM busybox AS builder\nFROM busybox\nCOPY --from=bulider /a /b", {
      line: 3,
      mentions: ["bulider", 'Did you mean "builder"?'],
    }));

  it("for an unknown target says which is near", async () => {
    const { code, stderr } = await bench.build("FROM busybox AS builder", { args: ["--target", "bulider"] });
    assert.notEqual(code, 0);
    assert.match(stderr, /bulider/);
    assert.match(stderr, /Did you mean "builder"\?/);
  });

  it("for an unknown instruction says which is near", () =>
    assertFails("FROM busybox\nCOPPY a b", { line: 2, mentions: ["COPPY", 'Did you mean "COPY"?'] }));

  it("for an unknown flag says which is near", () =>
    assertFails("FROM busybox\nCOPY --chwon=1 a b", { line: 2, mentions: ["chwon", "--chown"] }));

  it("for a missing file says what is near", async () => {
    const { code, stderr } = await bench.build("FROM busybox\nCOPY src/mian.go /", {
      files: { "src/main.go": "" },
    });
    assert.notEqual(code, 0);
    assert.match(stderr, /Dockerfile:2\b/);
    assert.match(stderr, /mian\.go/);
    assert.match(stderr, /main\.go"?\?/);
  });

  it("for a file that the ignore file leaves out of a tar context names the pattern", async () => {
    const context = bench.context({
      Dockerfile: "FROM scratch\nCOPY notes.md /\n",
      "notes.md": "",
      ".dockerignore": "*.md\n",
    });
    const input = execFileSync("tar", ["-C", context, "-c", "."]);
    const { code, stderr } = await bench.run(["build", "--progress=plain", "-"], { input });
    assert.equal(code, 1);
    assert.match(stderr, /Hint: The pattern "\*\.md" of \.dockerignore leaves it out/);
    assert.match(stderr, /CopyIgnoredFile/);
  });

  it("for a variable that is required suggests the nearest one", async () => {
    const { code, stderr } = await bench.build("FROM scratch\nARG VERSION=1\nCOPY f /${VERSIO:?which}\n", {
      files: { f: "" },
    });
    assert.equal(code, 1);
    assert.match(stderr, /VERSIO: which[\s\S]*Hint: Did you mean "VERSION"\?/);
  });

  it("for a file that the ignore file leaves out names the pattern", async () => {
    const { code, stderr } = await bench.build("FROM busybox\nCOPY notes.md /", {
      files: { "notes.md": "", ".dockerignore": "*.md\n" },
    });
    assert.notEqual(code, 0);
    assert.match(stderr, /\.dockerignore|ignore file/);
    assert.match(stderr, /\*\.md/);
  });

  it("for a failing RUN shows its exit code and the end of its output", () =>
    assertFails("FROM busybox\nRUN seq 1 100; echo oops >&2; exit 42", {
      line: 2,
      mentions: ["exit code 42", "oops", "99\n"],
    }));

  it("for a command that is not there says so", () =>
    assertFails('FROM busybox\nRUN ["/bin/nope", "x"]', { line: 2, mentions: ["/bin/nope", "not found"] }));

  it("for an unknown user names it", () =>
    assertFails("FROM busybox\nUSER nadine\nRUN true", { line: 3, mentions: ["nadine", "/etc/passwd"] }));

  it("for a registry that is not there names it", () =>
    assertFails("FROM 127.0.0.1:9/some/image\nRUN true", { line: 1, mentions: ["127.0.0.1:9", /refuse/i] }));

  it("for an image that the registry lacks names both", { skip: registryMissing }, async () => {
    await using registry = await startRegistry();
    await assertFails(`FROM ${registry.host}/some/image:1\nRUN true`, {
      line: 1,
      mentions: [registry.host, "some/image", /not found|no such|has no/i],
    });
  });

  it("for a registry that wants a password hints at the login", { skip: registryMissing }, async () => {
    await using registry = await startRegistry({ htpasswd: true });
    await assertFails(`FROM ${registry.host}/some/image:1`, { line: 1, mentions: [registry.host, "login"] });
    const dockerfile = "FROM busybox\nRUN echo hi > /hi";
    const { code, stderr } = await bench.build(dockerfile, {
      args: ["-t", `${registry.host}/never:1`, "--push"],
    });
    assert.notEqual(code, 0);
    assert.match(stderr, /login/);
    const { stdout } = await bench.run(["images", "-q", `${registry.host}/never`]);
    assert.equal(stdout, "", "the failed push left its tag");
    assert.ok(!existsSync(join(registry.directory, "docker/registry/v2/repositories/never/_manifests/tags")));
  });

  it("for a missing Dockerfile says where it looked", async () => {
    const { code, stderr } = await bench.run(["build", bench.context({ "Dockerfle.txt": "" })]);
    assert.notEqual(code, 0);
    assert.match(stderr, /Dockerfle\.txt/);
  });
});
