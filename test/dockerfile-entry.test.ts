import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { before, test } from "node:test";
import { createContext, runInContext } from "node:vm";
import { build } from "esbuild";
import packageJson from "../package.json" with { type: "json" };
import { slipway } from "./slipway.ts";

/*
 * `slipway/dockerfile`, as browsers and readers of its page get it.
 */

const repository = resolve(import.meta.dirname, "..");
const entry = packageJson.exports["./dockerfile"].default;

// bin/slipway makes the bundles where they are older than the sources.
before(() => slipway(["--version"]));

test("the language runs in a browser's bundle: nothing of Node's is imported or used", async () => {
  const { outputFiles, metafile } = await build({
    absWorkingDir: repository,
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    platform: "browser",
    format: "iife",
    globalName: "language",
    logLevel: "silent",
  });
  const imports = Object.values(metafile.inputs).flatMap((input) => input.imports);
  assert.deepEqual(
    imports.filter(({ path }) => !path.startsWith("dist/")),
    [],
  );
  const bundle = outputFiles[0]!.text;
  assert.doesNotMatch(bundle, /["']node:/);
  assert.doesNotMatch(bundle, /\b(?:process|Buffer|require|__dirname)\s*[.([]/);

  // A realm with what the language itself has, and what browsers have besides.
  const realm = createContext({ TextDecoder, URLSearchParams });
  const script = `${bundle}
    const platform = { os: "linux", architecture: "amd64" };
    const options = { buildPlatform: platform, platforms: [platform] };
    const tree = language.parseDockerfile(new Uint8Array(bytes), { file: "Dockerfile" });
    const result = {
      text: language.formatSyntaxTree(tree),
      rules: language.lintDockerfile(tree).warnings.map(({ rule }) => rule),
      steps: language.planBuild(tree, options, []).steps.map(({ kind }) => kind),
      isIgnored: language.makeIgnoreMatcher(["a*", "!ab"]).excludes("ac"),
      word: language.expandWord("\${A:-b}", {}),
      image: language.formatImageReference(language.parseImageReference("alpine")),
      git: language.parseGitReference("https://x.test/a.git#v1").ref,
    };
    JSON.stringify(result);`;
  Object.assign(realm, { bytes: [...Buffer.from("FROM scratch AS A\nCOPY a b\n")] });
  assert.deepEqual(JSON.parse(runInContext(script, realm)), {
    text: '(from "scratch" "AS" "A")\n(copy "a" "b")\n',
    rules: ["StageNameCasing"],
    steps: ["source", "source", "copy"],
    isIgnored: true,
    word: "b",
    image: "docker.io/library/alpine:latest",
    git: "v1",
  });
});

test("the package gives its own bundle by that name", async () => {
  const { formatSyntaxTree, parseDockerfile } = await import("slipway/dockerfile");
  assert.equal(formatSyntaxTree(parseDockerfile("RUN a\n")), '(run "a")\n');
});

test("the example of docs/dockerfile.md prints what the page says", () => {
  const page = readFileSync(join(repository, "docs/dockerfile.md"), "utf8");
  const [code, output] = [...page.matchAll(/^```(?:ts)?\n(.*?)^```$/gms)].map(([, text]) => text!);
  mkdirSync(join(repository, ".cache"), { recursive: true });
  const directory = mkdtempSync(join(repository, ".cache/example-"));
  try {
    const file = join(directory, "example.ts");
    writeFileSync(file, code!);
    assert.equal(execFileSync(process.execPath, [file], { encoding: "utf8" }), output);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
