import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runCommand, runSlipway, slipwayPath } from "../slipway.ts";

const work = mkdtempSync(join(tmpdir(), "slipway-usage-"));
after(() => rmSync(work, { recursive: true, force: true }));
writeFileSync(join(work, "Dockerfile"), "FROM scratch\n");
const run = (...args: string[]) => runSlipway(args, { root: join(work, "store"), cwd: work });

test("--version prints the package's version", async () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));
  assert.deepEqual(await run("--version"), { code: 0, stdout: `${version}\n`, stderr: "" });
});

test("--help lists the commands, and each command has its own, with an example", async () => {
  const { code, stdout } = await run("--help");
  assert.equal(code, 0);
  const commands = [...stdout.matchAll(/^ {2}([a-z]+) {2,}[A-Z]/gm)].map(([, name]) => name!);
  assert.ok(commands.includes("build") && commands.includes("container"), commands.join());
  for (const name of commands) {
    const help = await run(name, "--help");
    assert.equal(help.code, 0, name);
    assert.match(help.stdout, new RegExp(`^Usage: slipway ${name} `), name);
    assert.match(help.stdout, /^Examples:\n {2}slipway /m, name);
    assert.equal((await run("help", name)).stdout, help.stdout);
  }
});

const WRONG: readonly (readonly [args: readonly string[], message: RegExp])[] = [
  [["bild", "."], /^Error: Unknown command "bild"\n\nHint: Did you mean build\?\n$/],
  [["build", "--tga", "x", "."], /^Error: Unknown option "--tga"\n\nHint: Did you mean --tag\?\n$/],
  [["buildx", "bild"], /^Error: Unknown command "buildx bild"\n\nHint: Did you mean buildx build\?\n$/],
  [["image", "sign"], /^Error: Unknown command "image sign"\n\nHint: There is image ls, /],
  [
    ["buildx", "create", "--use"],
    /^Error: Unknown command "buildx create"\n\nHint: Leave it out: there are no builders/,
  ],
  [["build"], /^Error: Missing required argument "context"\n$/],
  [["build", ".", "."], /^Error: Too many arguments for "build"/],
  [["images", "--format"], /^Error: Option "--format <format>" argument missing\n$/],
];

for (const [args, message] of WRONG) {
  test(`"slipway ${args.join(" ")}" is a wrong call: status 2`, async () => {
    const { code, stdout, stderr } = await run(...args);
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [2, ""]);
  });
}

test("docker's commands that are not here say what to do instead: status 2", async () => {
  for (const [args, message] of [
    [
      ["network", "create", "x"],
      /^Error: Unknown command "network"\n\nHint: It needs docker: slipway has no daemon/,
    ],
    [["info"], /^Error: Unknown command "info"\n\nHint: It needs docker/],
    [["buildx", "bake"], /^Error: Unknown command "buildx bake"\n\nHint: Bake files are not read/],
    [
      ["buildx", "imagetools", "inspect", "x"],
      /^Error: Unknown command "buildx imagetools"\n\nHint: slipway pull/,
    ],
    [["manifest", "inspect", "x"], /^Error: Unknown command "manifest"\n\nHint: slipway pull/],
  ] as const) {
    const { code, stdout, stderr } = await run(...args);
    assert.match(stderr, message);
    assert.deepEqual([code, stdout], [2, ""]);
  }
});

test("docker's other spellings are ours: buildx b, image build, version, system df, system prune", async () => {
  for (const spelling of ["build", "buildx build", "buildx b", "builder build", "image build"]) {
    const { stdout, stderr } = await run(...spelling.split(" "), "-q", ".");
    assert.match(stdout, /^sha256:[0-9a-f]{64}\n$/, `${spelling}: ${stderr}`);
  }
  const { stdout } = await run("--version");
  for (const spelling of ["version", "buildx version"]) {
    assert.deepEqual(await run(...spelling.split(" ")), { code: 0, stdout, stderr: "" });
  }
  for (const spelling of [
    "system df",
    "buildx du",
    "system prune -f",
    "builder prune -f",
    "buildx prune -f",
  ]) {
    const { code, stderr } = await run(...spelling.split(" "));
    assert.equal(code, 0, `${spelling}: ${stderr}`);
  }
});

test("attestations: what cannot be made is refused, what is wrong is told", async () => {
  for (const [args, message] of [
    [["--sbom=true"], /^Error: Cannot use --sbom: no SBOM can be made\n[\s\S]*Hint: Let a scanner read/],
    [["--attest", "type=sbom,generator=x"], /^Error: Cannot use --attest: no SBOM can be made/],
    [["--attest", "mode=max"], /it has no type\n[\s\S]*Types are provenance, sbom/],
    [["--provenance=mode=maxi"], /Cannot use "maxi" for mode of --provenance\n[\s\S]*Did you mean "max"\?/],
    [["--provenance=version=2"], /It is one of v0\.2, v1/],
  ] as const) {
    const { code, stderr } = await run("build", ...args, ".");
    assert.match(stderr, message);
    assert.equal(code, 1);
  }
});

test("options without a value take docker's =true and =false", async () => {
  const quiet = await run(
    "build",
    "--quiet=true",
    "--rm=false",
    "--provenance=false",
    "--sbom=false",
    "--pull=false",
    ".",
  );
  assert.match(quiet.stdout, /^sha256:[0-9a-f]{64}\n$/);
  assert.equal(quiet.stderr, "");
  const loud = await run("build", "--quiet=false", ".");
  assert.equal(loud.stdout, "");
  assert.match((await run("build", "--quiet=maybe", ".")).stderr, /Unknown option "--quiet=maybe"/);
});

test("--root, SLIPWAY_ROOT and a --root after the command choose the store", async () => {
  const list = async (args: readonly string[], root?: string) =>
    (await runSlipway([...args, "--format", "json"], { root, cwd: work })).stdout.trim();
  const other = join(work, "other");
  await run("build", "-q", "-t", "here", ".");
  assert.match(await list(["images"], join(work, "store")), /"Repository":"here"/);
  assert.equal(await list(["--root", other, "images"], join(work, "store")), "");
  assert.match(await list(["images", "--root", join(work, "store")], other), /"Repository":"here"/);
});

test("a store that cannot be made is an error with a hint", async () => {
  writeFileSync(join(work, "file"), "");
  const { code, stderr } = await runSlipway(["--root", join(work, "file"), "images"], {});
  assert.equal(code, 1);
  assert.match(stderr, /^Error: Cannot use the store .*\n\nHint: Choose another directory with --root DIR/);
});

test("--debug tells the cause", async () => {
  const { stderr } = await run("--debug", "build", join(work, "nowhere"));
  assert.match(stderr, /Caused by: Error: ENOENT/);
  assert.doesNotMatch((await run("build", join(work, "nowhere"))).stderr, /Caused by/);
});

test("output that cannot be written is an error, not a crash", async () => {
  const { code, stderr } = await runCommand("sh", ["-c", '"$0" --help > /dev/full', slipwayPath]);
  assert.equal(code, 1);
  assert.match(stderr, /^Error: Cannot write the output: ENOSPC/);
});
