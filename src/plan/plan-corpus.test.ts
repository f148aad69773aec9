import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { sharedPath, skipWithout } from "../../test/shared-data.ts";
import { parseDockerfile } from "../dockerfile/parse-dockerfile.ts";
import { BuildError } from "../errors/build-error.ts";
import { choosePlatform } from "../oci/choose-platform.ts";
import type { ContainerConfig, ImageConfig } from "../oci/image-config.ts";
import { formatPlatform, type Platform, parsePlatform } from "../oci/platform.ts";
import type { ImageBase, ImageNeed, NamedContext, Plan, PlanOptions } from "./plan.ts";
import { planBuild } from "./plan-build.ts";

/*
 * Every case of the golden corpus, as far as it can be known before anything is built: config, history texts, the number of
 * layers, and errors with their line. The base images' configs come from the corpus's OCI layouts.
 */

interface CaseOptions {
  readonly target?: string;
  readonly buildArgs?: Record<string, string>;
  readonly platform?: string;
  readonly contexts?: Record<string, string>;
  readonly labels?: Record<string, string>;
  readonly file?: string;
}

interface ExpectedImage {
  readonly config: ContainerConfig & {
    readonly architecture: string;
    readonly os: string;
    readonly variant?: string;
  };
  readonly layerCount: number;
  readonly emptyHistoryCount: number;
  readonly history: readonly { readonly createdBy: string; readonly empty: boolean }[];
}

type Expected =
  | ({ readonly outcome: "ok" } & Partial<ExpectedImage> & {
        readonly images?: Record<string, ExpectedImage>;
      })
  | { readonly outcome: "error"; readonly line: number | null; readonly message: string };

/** Errors that only show when something is run, copied or downloaded. */
const LATER = new Set([
  "add/http-error-line",
  "copy-context/dir-into-existing-file-parent",
  "copy-context/missing",
  "copy-context/symlink-escape",
  "copy-from/missing-source",
  "copy-from/symlink-dangling-source",
  "dockerignore/ignored-copy-error",
  "mounts/secret-required-missing",
  "run/exec-not-found",
  "run/exit-code",
  "run/heredoc-failure",
  "stages/scratch-run-fails",
]);

const AMD64: Platform = { os: "linux", architecture: "amd64" };
const IMAGES = ["busybox", "usrmerge", "inherits", "onbuild", "layered", "multiarch", "manyfiles"];

function readJson<Value>(path: string): Value {
  // Where the corpus's runner would serve files.
  return JSON.parse(readFileSync(path, "utf8").replaceAll("@HTTP@", "http://127.0.0.1:1")) as Value;
}

type Descriptor = { readonly digest: string; readonly platform?: Platform };

function readConfig(image: string, platform: Platform): ImageConfig {
  const layout = sharedPath("corpus", "images", image);
  const blob = <Value>({ digest }: Descriptor) =>
    readJson<Value>(join(layout, "blobs", digest.replace(":", "/")));
  const index = readJson<{ manifests: Descriptor[] }>(join(layout, "index.json"));
  let manifest = blob<{ manifests?: Descriptor[]; config: Descriptor }>(index.manifests[0]!);
  if (manifest.manifests !== undefined) manifest = blob(choosePlatform(manifest.manifests, platform)!);
  return blob<ImageConfig>(manifest.config);
}

function planToTheEnd(text: Uint8Array, options: PlanOptions): Plan {
  const syntax = parseDockerfile(text);
  const bases: ImageBase[] = [];
  for (let round = 0; round < 10; round++) {
    const result = planBuild(syntax, options, bases);
    if (!("needs" in result)) return result;
    bases.push(...result.needs.map(fetchBase));
  }
  throw new Error("no fixpoint");
}

function fetchBase(need: ImageNeed): ImageBase {
  const image = need.reference.replace(/^corpus:/, "");
  if (!IMAGES.includes(image))
    throw new BuildError("image-not-found", `Cannot find "${image}"`, { span: need.span });
  return { ...need, config: readConfig(image, need.platform) };
}

interface Case {
  readonly options?: CaseOptions;
  /** The images given as named contexts; those whose name occurs in the Dockerfile when absent. */
  readonly images?: readonly string[];
}

function makeOptions({ options = {}, images }: Case, dockerfile: string): PlanOptions {
  const namedContexts: Record<string, NamedContext> = {};
  const used = images ?? IMAGES.filter((image) => new RegExp(`\\b${image}\\b`, "i").test(dockerfile));
  for (const image of used) namedContexts[image] = { kind: "image", reference: `corpus:${image}` };
  for (const [name, value] of Object.entries(options.contexts ?? {})) {
    const [kind, which] = value.split(":");
    namedContexts[name] =
      kind === "image" ? { kind: "image", reference: `corpus:${which}` } : { kind: "files" };
  }
  return {
    target: options.target,
    buildArgs: options.buildArgs,
    labels: options.labels,
    platforms: options.platform?.split(",").map((platform) => parsePlatform(platform)) ?? [AMD64],
    buildPlatform: AMD64,
    namedContexts,
  };
}

/** Absent, null and empty are the same, and so are an absent WorkingDir and `/`; ArgsEscaped is not compared. */
function normalizeConfig(config: object): object {
  const entries = Object.entries(config).filter(([key, value]) => {
    if (key === "ArgsEscaped" || value === undefined || value === null || value === "") return false;
    if (key === "WorkingDir" && value === "/") return false;
    return typeof value !== "object" || Object.keys(value as object).length > 0;
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function compareImage(plan: Plan, platform: string | undefined, expected: ExpectedImage): void {
  const output = plan.outputs.find(
    (candidate) => platform === undefined || formatPlatform(candidate.platform) === platform,
  );
  assert.ok(output, `no output for ${platform}`);
  const { config = {}, history = [], architecture, os, variant } = output.config;
  const found = normalizeConfig({ ...config, architecture, os, variant });
  assert.deepEqual(found, normalizeConfig(expected.config));
  assert.deepEqual(
    history.map((entry) => ({ createdBy: entry.created_by, empty: entry.empty_layer ?? false })),
    expected.history,
  );
  const layers = history.filter((entry) => !entry.empty_layer).length;
  assert.equal(layers, expected.layerCount);
}

const casesPath = sharedPath("corpus", "cases");
const names = existsSync(casesPath)
  ? readdirSync(casesPath).flatMap((area) =>
      readdirSync(join(casesPath, area)).map((name) => `${area}/${name}`),
    )
  : [];

test("the golden corpus is there", { skip: skipWithout("corpus", "cases") }, () => {
  assert.ok(names.length > 100);
});

for (const name of names) {
  test(`planBuild() plans the corpus case ${name} as BuildKit does`, () => {
    const folder = join(casesPath, name);
    const dockerfile = readFileSync(join(folder, "Dockerfile"));
    const theCase = readJson<Case>(join(folder, "case.json"));
    const expected = readJson<Expected>(join(folder, "expected.json"));
    const run = () => planToTheEnd(dockerfile, makeOptions(theCase, dockerfile.toString()));
    if (expected.outcome === "error" && !LATER.has(name)) {
      assert.throws(run, (error) => {
        assert.ok(error instanceof BuildError, String(error));
        if (expected.line !== null) assert.equal(error.span?.startLine, expected.line, error.message);
        return true;
      });
      return;
    }
    const plan = run();
    if (expected.outcome === "error") return;
    if (expected.images === undefined) compareImage(plan, undefined, expected as ExpectedImage);
    for (const [platform, image] of Object.entries(expected.images ?? {}))
      compareImage(plan, platform, image);
  });
}
