import assert from "node:assert/strict";
import { test } from "node:test";
import { readSharedRows, skipWithout } from "../../test/shared-data.ts";
import { type LintWarning, lintDockerfile } from "../dockerfile/lint-dockerfile.ts";
import { parseIgnoreFile } from "../dockerfile/make-ignore-matcher.ts";
import { parseDockerfile } from "../dockerfile/parse-dockerfile.ts";
import { BuildError } from "../errors/build-error.ts";
import type { ImageBase, Plan, PlanOptions } from "./plan.ts";
import { planBuild } from "./plan-build.ts";

/*
 * Here and not beside the checks, because a build checks only the stages that its plan needs.
 */

const FILE = ["conformance", "lint", "lint.json"];
const AMD64 = { os: "linux", architecture: "amd64" };

interface Row {
  readonly name: string;
  readonly dockerfile: string;
  readonly dockerignore?: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly warnings: readonly Expected[];
  readonly checkWarnings?: readonly Expected[];
  readonly error?: string;
  readonly buildErrorRegexp?: string;
  readonly errorLine?: number;
}

type Expected = Omit<LintWarning, "span"> & { readonly line: number };

function planToTheEnd(row: Row, options: PlanOptions): Plan {
  const tree = parseDockerfile(row.dockerfile);
  const bases: ImageBase[] = [];
  while (true) {
    const result = planBuild(tree, options, bases);
    if (!("needs" in result)) return result;
    for (const need of result.needs) {
      bases.push({
        ...need,
        config: { ...need.platform, config: {}, rootfs: { type: "layers", diff_ids: [] } },
      });
    }
  }
}

/** The numbers of the stages that are built. */
function neededStages(row: Row, { leftOut }: Plan): ReadonlySet<number> {
  const lines = new Set(leftOut.map(({ span }) => span.startLine));
  const froms = parseDockerfile(row.dockerfile).instructions.filter(
    ({ keyword }) => keyword.toUpperCase() === "FROM",
  );
  return new Set(froms.flatMap(({ span }, i) => (lines.has(span.startLine) ? [] : [i])));
}

function simplify(warnings: readonly LintWarning[]): readonly Expected[] {
  return warnings.map(({ span, ...rest }) => ({ ...rest, line: span.startLine }));
}

/** The data's lines for `--check` point at an empty line and at FROM here; the instructions are two lines further down. */
const SHIFTED_LINES: ReadonlyMap<string, number> = new Map([["testLegacyKeyValueFormat[2]", 2]]);

const rows = readSharedRows<Row>(...FILE);

test("the lint cases are there", { skip: skipWithout(...FILE) }, (t) => {
  assert.ok(rows.length > 30);
  t.diagnostic(`${FILE.join("/")}: ${rows.length} cases`);
});

for (const row of rows) {
  test(`the checks find what BuildKit finds: ${row.name}`, () => {
    const buildArgs = Object.fromEntries(
      Object.entries(row.attrs).flatMap(([key, value]) =>
        key.startsWith("build-arg:") ? [[key.slice("build-arg:".length), value]] : [],
      ),
    );
    const options = { buildArgs, ignorePatterns: parseIgnoreFile(row.dockerignore ?? "") };
    const tree = parseDockerfile(row.dockerfile);
    const shift = SHIFTED_LINES.get(row.name) ?? 0;
    const checked = row.checkWarnings?.map((warning) => ({ ...warning, line: warning.line + shift }));
    assert.deepEqual(simplify(lintDockerfile(tree, options).warnings), checked ?? row.warnings);
    const run = () => planToTheEnd(row, { platforms: [AMD64], buildPlatform: AMD64, buildArgs });
    if (row.error !== undefined) {
      assert.throws(run, (error) => error instanceof BuildError && error.span?.startLine === row.errorLine);
      return;
    }
    const stages = neededStages(row, run());
    assert.deepEqual(simplify(lintDockerfile(tree, { ...options, stages }).warnings), row.warnings);
  });
}
