import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { type BuildBench, openBuildBench } from "../build-bench.ts";

/*
 * What BuildKit and buildx print, from their documentation ("Checking your build configuration", "docker buildx build --call").
 */

const bench: BuildBench = await openBuildBench();
after(() => bench[Symbol.dispose]());

const FAULTY = "FROM scratch AS Base\nCOPY a /\nMAINTAINER me\n";

function check(dockerfile: string, args: readonly string[] = ["build", "--check"]) {
  return bench.run([...args, bench.context({ Dockerfile: dockerfile, a: "" })]);
}

test("--check shows each finding with its lines, and ends with 1", async () => {
  for (const args of [["build", "--check"], ["build", "--call=check"], ["check"]]) {
    const { code, stdout, stderr } = await check(FAULTY, args);
    assert.equal(code, 1);
    assert.equal(stderr, "");
    assert.match(
      stdout,
      /^Check complete, 2 warnings have been found!\n\nWARNING: StageNameCasing - https:\/\/docs\.docker\.com\/go\/dockerfile\/rule\/stage-name-casing\/\n/,
    );
    assert.ok(
      stdout.includes(
        "Stage name 'Base' should be lowercase\n" +
          `${stdout.match(/^.*Dockerfile:1$/m)?.[0]}\n` +
          "--------------------\n" +
          "   1 | >>> FROM scratch AS Base\n" +
          "   2 |     COPY a /\n" +
          "   3 |     MAINTAINER me\n" +
          "--------------------\n",
      ),
      stdout,
    );
  }
});

test("--check of a Dockerfile without fault says so, and ends with 0", async () => {
  const { code, stdout } = await check("FROM scratch\nCOPY a /\n");
  assert.equal(stdout, "Check complete, no warnings found.\n");
  assert.equal(code, 0);
});

test("--check looks at all stages, also at those that the target leaves out", async () => {
  const { stdout } = await check("FROM scratch AS one\nMAINTAINER me\nFROM scratch\nCOPY a /\n");
  assert.match(stdout, /MaintainerDeprecated/);
});

test("--check as JSON has BuildKit's fields, and still ends with 1", async () => {
  for (const args of [
    ["check", "--format=json"],
    ["build", "--call", "check,format=json"],
    ["build", "--call", "lint,format=json"],
  ]) {
    const { code, stdout } = await check(FAULTY, args);
    assert.equal(code, 1);
    const { warnings, sources } = JSON.parse(stdout);
    assert.deepEqual(warnings[1], {
      ruleName: "MaintainerDeprecated",
      description: "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
      url: "https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/",
      detail: "Maintainer instruction is deprecated in favor of using label",
      location: { ranges: [{ start: { line: 3 }, end: { line: 3 } }] },
    });
    assert.equal(Buffer.from(sources[0].data, "base64").toString(), FAULTY);
  }
  const { code } = await check(FAULTY, ["build", "--call", "check,ignorestatus=true"]);
  assert.equal(code, 0);
});

test("--check shows what keeps the build from being made, too", async () => {
  const { code, stdout, stderr } = await check("FROM scratch AS Base\nCOPY --from=bsae /a /b\n");
  assert.equal(code, 1);
  assert.match(stdout, /StageNameCasing/);
  assert.match(stderr, /^Error: .*bsae/);
  assert.match(stderr, /Dockerfile:2/);
  const { stdout: json } = await check("FROM scratch\nCOPY --bad=1 a /b\n", ["check", "--format=json"]);
  const { buildError } = JSON.parse(json);
  assert.match(buildError.message, /bad/);
  assert.equal(buildError.location.ranges[0].start.line, 2);
});

test("a comment skips a check for one instruction, the directive for the file", async () => {
  const skipped = "FROM scratch\nCOPY a /\n# check=skip=MaintainerDeprecated\nMAINTAINER me\n";
  assert.equal((await check(skipped)).code, 0);
  assert.equal((await check(`# check=skip=StageNameCasing,MaintainerDeprecated\n${FAULTY}`)).code, 0);
  assert.equal((await check(`# check=skip=StageNameCasing\n${FAULTY}`)).code, 1);
});

test("a build ends with what the checks found; with --debug the lines, too; with -q nothing", async () => {
  const build = (args: readonly string[]) => bench.build(FAULTY, { args, files: { a: "" } });
  const { code, stderr } = await build([]);
  assert.equal(code, 0);
  assert.match(
    stderr,
    /^ 2 warnings found \(use --debug to expand\):\n - StageNameCasing: Stage name 'Base' should be lowercase \(line 1\)\n - MaintainerDeprecated: .* \(line 3\)\n/m,
  );
  const { stderr: debug } = await build(["--debug"]);
  assert.match(debug, /^More info: https:\/\/.*\/stage-name-casing\/$/m);
  assert.match(debug, /^ {3}3 \| >>> MAINTAINER me$/m);
  assert.equal((await build(["-q"])).stderr, "");
});

test("error=true makes findings fail the build, and nothing is built", async () => {
  const dockerfile = `# check=error=true\n${FAULTY}`;
  const { code, stderr } = await bench.build(dockerfile, { args: ["-t", "failed"], files: { a: "" } });
  assert.equal(code, 1);
  assert.match(stderr, /^Error: Cannot build .*StageNameCasing, MaintainerDeprecated$/m);
  assert.match(stderr, /Dockerfile:2/);
  assert.equal((await bench.run(["images", "-q", "failed"])).stdout, "");
  const args = ["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all;error=true"];
  assert.equal((await bench.build(dockerfile, { args, files: { a: "" } })).code, 0);
});

test("findings stand in the metadata file in BuildKit's form", async () => {
  const path = join(bench.directory, "check-metadata.json");
  const directory = bench.context({ Dockerfile: FAULTY, a: "" });
  const env = { BUILDX_METADATA_WARNINGS: "1" };
  assert.equal((await bench.run(["build", "--metadata-file", path, directory], { env })).code, 0);
  const [first] = JSON.parse(readFileSync(path, "utf8"))["buildx.build.warnings"];
  const short = Buffer.from(first.short, "base64").toString();
  assert.equal(short, "StageNameCasing: Stage name 'Base' should be lowercase (line 1)");
  assert.deepEqual(first.range, [{ start: { line: 1 }, end: { line: 1 } }]);
});

const TARGETS = "# app is what runs\nFROM scratch AS app\nCOPY a /\n\nFROM scratch AS test\nCOPY a /\n";

test("--call targets lists the stages, and which one is built", async () => {
  const { code, stdout } = await check(TARGETS, ["build", "--call", "targets"]);
  assert.equal(code, 0);
  assert.match(stdout, /^TARGET +DESCRIPTION\napp +is what runs\ntest \(default\)\n$/);
  const { stdout: json } = await check(TARGETS, ["build", "--call", "targets,format=json"]);
  const { targets } = JSON.parse(json);
  assert.deepEqual(targets[0], {
    name: "app",
    description: "is what runs",
    base: "scratch",
    location: { ranges: [{ start: { line: 2 }, end: { line: 2 } }] },
  });
  assert.equal(targets[1].default, true);
});

test("--call outline tells what the target takes", async () => {
  const dockerfile =
    "FROM scratch AS app\n# V is the version\nARG V=1\nRUN --mount=type=secret,id=s,required --mount=type=ssh true\n";
  const { stdout } = await check(dockerfile, ["build", "--build-arg=V=2", "--call", "outline"]);
  assert.match(stdout, /^TARGET: +app\n\nBUILD ARG +VALUE +DESCRIPTION\nV +2 +is the version\n/);
  assert.match(stdout, /\nSECRET +REQUIRED\ns +true\n\nSSH +REQUIRED\ndefault\n\n$/);
  const { stdout: json } = await check(dockerfile, ["build", "--call", "outline,format=json"]);
  const { args, secrets } = JSON.parse(json);
  assert.equal(args[0].value, "1");
  assert.deepEqual(secrets[0].required, true);
});

test("an unknown method or attribute of --call is refused with what is near", async () => {
  const refused = [
    ["--call=outlin", /Did you mean "outline"\?/],
    ["--call=check,formt=json", /Did you mean "format"\?/],
    ["--call=check,format=jsn", /Did you mean "json"\?/],
  ] as const;
  for (const [arg, hint] of refused) {
    const { code, stderr } = await check(FAULTY, ["build", arg]);
    assert.equal(code, 1);
    assert.match(stderr, hint);
  }
});

test("parse prints the tree as s-expressions, or as JSON with places", async () => {
  const directory = join(bench.directory, "parse");
  mkdirSync(directory);
  const file = join(directory, "Dockerfile");
  writeFileSync(file, 'FROM x AS y\nENV A=1 B="2 3"\nCOPY --from=y a b\nRUN ["a", "b"]\n');
  const sexpr =
    '(from "x" "AS" "y")\n(env "A" "1" "=" "B" "\\"2 3\\"" "=")\n(copy ["--from=y"] "a" "b")\n(run "a" "b")\n';
  assert.equal((await bench.run(["parse", file])).stdout, sexpr);
  const { stdout } = await bench.run(["parse", "--format=json", "-"], { input: readFileSync(file, "utf8") });
  const tree = JSON.parse(stdout);
  assert.equal(tree.instructions[2].span.startLine, 3);
  assert.equal(tree.instructions[3].isJson, true);
  const broken = await bench.run(["parse", "-"], { input: "FROM x\nRUN <<E\n" });
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /<stdin>:2/);
  assert.match((await bench.run(["parse", join(directory, "none")])).stderr, /^Error: Cannot read .*none"/);
});

test("a misspelt check in the directive is told, with what is near", async () => {
  const dockerfile = "# check=skip=MaintainerDeprecatd\nFROM scratch\nCOPY a /\n";
  const expected =
    /^WARNING: There is no check "MaintainerDeprecatd"\. Did you mean "MaintainerDeprecated"\?/m;
  assert.match((await check(dockerfile)).stderr, expected);
  assert.match((await bench.build(dockerfile, { files: { a: "" } })).stderr, expected);
});

test("an error marks what is wrong in the Dockerfile's lines", async () => {
  const { stderr } = await bench.build("FROM scratch\nCOPY a \\\n  missing.txt /to/\n", { files: { a: "" } });
  const marked = `> 2 │ COPY a \\\n> 3 │   missing.txt /to/\n    │   ${"^".repeat(11)}\n`;
  assert.ok(stderr.includes(marked), stderr);
  const { stderr: mount } = await bench.build("FROM scratch\nRUN --mount=type=cache,traget=/x true\n");
  assert.match(mount, /Dockerfile:2:24$/m);
  assert.match(mount, /Did you mean "target"\?/);
});

test("the variables and the platform of a base image are known to the checks", async () => {
  const base = await bench.build("FROM scratch\nENV FROM_BASE=1\n", { args: ["-t", "checked-base"] });
  assert.equal(base.code, 0, base.stderr);
  const dockerfile = "FROM checked-base\nCOPY a /$FROM_BASE/\nCOPY a /$FROM_BSAE/\n";
  const finding = /Usage of undefined variable '\$FROM_BSAE' \(did you mean \$FROM_BASE\?\)/;
  const { stdout, stderr } = await check(dockerfile);
  assert.equal(stderr, "");
  assert.match(stdout, /1 warning has been found/);
  assert.match(stdout, finding);
  assert.match((await bench.build(dockerfile, { files: { a: "" } })).stderr, finding);
});

test("a base that cannot be had is told, and the rest is checked", async () => {
  const { code, stdout, stderr } = await check("FROM 127.0.0.1:9/none\nMAINTAINER me\n");
  assert.equal(code, 1);
  assert.match(stderr, /^Note: Checked without knowing the image "127\.0\.0\.1:9\/none"/);
  assert.match(stdout, /MaintainerDeprecated/);
});

test("a Dockerfile on stdin is checked, too", async () => {
  const { code, stdout } = await bench.run(["check", "-f", "-", bench.context({ a: "" })], { input: FAULTY });
  assert.equal(code, 1);
  assert.match(stdout, /^<stdin>:1$/m);
});
