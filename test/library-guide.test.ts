import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "./build-bench.ts";
import { runCommand } from "./slipway.ts";

const repository = resolve(import.meta.dirname, "..");
const bench: BuildBench = await openBuildBench();
after(() => bench[Symbol.dispose]());

const guide = readFileSync(join(repository, "docs/library.md"), "utf8");
const EXAMPLE = /^## ([^\n]*)\n\n```js\n(.*?)^```\n\n```text\n(.*?)^```$/gms;

for (const [, title, program, expected] of guide.matchAll(EXAMPLE)) {
  test(`the library's example prints what its page says: ${title}`, { skip: runMissing }, async () => {
    const directory = bench.context({ "example.mjs": program! });
    // As npm installs it.
    mkdirSync(join(directory, "node_modules"));
    symlinkSync(repository, join(directory, "node_modules/slipway"));
    const { code, stdout, stderr } = await runCommand(process.execPath, ["example.mjs"], {
      cwd: directory,
      env: { SLIPWAY_ROOT: bench.root },
    });
    assert.equal(code, 0, stderr);
    assert.equal(stdout.trimEnd(), expected!.trimEnd());
    assert.equal(stderr, "");
  });
}

test("every section of the page is an example", () => {
  assert.equal([...guide.matchAll(EXAMPLE)].length, guide.split(/^## /m).length - 1);
});
