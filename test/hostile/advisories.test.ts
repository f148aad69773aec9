import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { ARCHIVE_TRICKS } from "./archive-tricks.ts";

const ADVISORY = /CVE-\d{4}-\d+|GHSA(?:-[a-z0-9]{4}){3}/g;
const repository = resolve(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(resolve(repository, path), "utf8");

/** The advisories in the names of a file's tests. */
function advisoriesOf(path: string): Set<string> {
  if (path.endsWith("/archives.test.ts"))
    return new Set(ARCHIVE_TRICKS.flatMap(({ advisories }) => advisories));
  const titles = read(path).match(/^\s*(?:(?:it|test)\(\s*)?"(?:CVE|GHSA)-[^"]*"/gm) ?? [];
  return new Set(titles.flatMap((title) => title.match(ADVISORY) ?? []));
}

test("docs/security.md lists every advisory that a test is named after, and the test is where it says", () => {
  const rows = [...read("docs/security.md").matchAll(/^\| \[([A-Za-z0-9-]+)\]\(.*\]\(\.\.\/(.*)\) \|$/gm)];
  const listed = new Map(rows.map(([, advisory = "", path = ""]) => [advisory, path]));
  assert.ok(listed.size > 50);
  for (const [advisory, path] of listed) {
    assert.ok(existsSync(resolve(repository, path)), path);
    assert.ok(advisoriesOf(path).has(advisory), `${path} has no test that is named after ${advisory}`);
  }
  const paths = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts"));
  for (const path of ["test/build/bombs.test.ts", ...paths.map((name) => `test/hostile/${name}`)]) {
    for (const advisory of advisoriesOf(path))
      assert.ok(listed.has(advisory), `${advisory} of ${path} is not listed`);
  }
});
