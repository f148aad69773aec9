import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";

const repository = resolve(import.meta.dirname, "..");

test("docs/errors.md explains every error code, and no other", () => {
  const source = readFileSync(resolve(repository, "src/errors/build-error.ts"), "utf8");
  const union = /type BuildErrorCode =([^;]+);/.exec(source)![1]!;
  const codes = [...union.matchAll(/"([a-z-]+)"/g)].map(([, code]) => code!);
  const rows = [
    ...readFileSync(resolve(repository, "docs/errors.md"), "utf8").matchAll(/^\| `([a-z-]+)` +\|/gm),
  ];
  assert.ok(codes.length > 10);
  assert.deepEqual(rows.map(([, code]) => code!).sort(), codes.sort());
});
