import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { readCases, sharedPath, skipWithout } from "../../test/shared-data.ts";
import { BuildError } from "../errors/build-error.ts";
import { compileIgnorePattern, type Places } from "./ignore-pattern.ts";
import { makeIgnoreMatcher, parseIgnoreFile } from "./make-ignore-matcher.ts";

const FILE = ["conformance", "ignore", "ignore.json"];

test("makeIgnoreMatcher() decides as the conformance data says", { skip: skipWithout(...FILE) }, (t) => {
  type Row =
    | { kind: "match"; patterns: string[]; path: string; excluded?: boolean; error?: boolean }
    | { kind: "clean"; patterns: string[]; count?: number; hasExceptions?: boolean; error?: boolean }
    | { kind: "compile"; pattern: string; regexp: string }
    | { kind: "readall"; content: string; patterns: string[] };
  const rows = readCases<Row>(t, ...FILE);
  for (const row of rows) {
    const label = JSON.stringify(row);
    switch (row.kind) {
      case "match":
        if (row.error)
          assert.throws(() => makeIgnoreMatcher(row.patterns).excludes(row.path), BuildError, label);
        // The root itself is never ignored; the data asks a lower layer about it.
        else if (row.path !== "/") {
          assert.equal(makeIgnoreMatcher(row.patterns).excludes(row.path), row.excluded, label);
        }
        break;
      case "clean":
        if (row.error) assert.throws(() => makeIgnoreMatcher(row.patterns), BuildError, label);
        else if (row.hasExceptions) assert.ok(makeIgnoreMatcher(row.patterns).hasNegations, label);
        else assert.equal(row.patterns.filter((pattern) => pattern !== "").length, row.count, label);
        break;
      case "compile": {
        const { form } = compileIgnorePattern(row.pattern, false);
        assert.equal(form.kind === "regexp" ? form.source : "", row.regexp, label);
        break;
      }
      case "readall":
        assert.deepEqual(parseIgnoreFile(row.content), row.patterns, label);
    }
  }
});

type Entry = { path: string; content?: string };

for (const name of [
  "basic",
  "comments-blank-space",
  "crlf-bom",
  "dotdot-clean",
  "double-star",
  "negation-order",
  "question-and-class",
  "slashes",
  "star-all-but",
]) {
  const folder = ["corpus", "cases", "dockerignore", name];
  test(`an ignore file leaves what the corpus case ${name} has`, { skip: skipWithout(...folder) }, () => {
    const entries = JSON.parse(readFileSync(sharedPath(...folder, "context.json"), "utf8")) as Entry[];
    const expected = JSON.parse(readFileSync(sharedPath(...folder, "expected.json"), "utf8")) as {
      rootfs: { changed: { path: string; type: string }[] };
    };
    const ignore = entries.find(({ path }) => path === ".dockerignore")!;
    const matcher = makeIgnoreMatcher(parseIgnoreFile(ignore.content!));
    const kept = entries.map(({ path }) => path).filter((path) => !matcher.excludes(path));
    const copied = expected.rootfs.changed
      .filter(({ type, path }) => type === "file" && path !== "/c/Dockerfile")
      .map(({ path }) => path.replace("/c/", ""));
    assert.deepEqual(kept.sort(), copied.sort());
  });
}

test("a directory is skipped unless a later negation can reach into it", () => {
  const matcher = makeIgnoreMatcher(["*", "!src/lib/*.c", "!docs", "docs/old", "!**/keep"]);
  const skipped = (...paths: string[]) => paths.map((path) => matcher.canSkipDirectory(path));
  // `!**/keep` reaches everywhere.
  assert.deepEqual(skipped("src", "other", "docs", "docs/old"), [false, false, false, false]);
  const narrow = makeIgnoreMatcher(["*", "!src/lib/*.c", "!docs", "docs/old"]);
  assert.equal(narrow.canSkipDirectory("node_modules"), true);
  assert.equal(narrow.canSkipDirectory("src"), false);
  assert.equal(narrow.canSkipDirectory("src/lib"), false);
  assert.equal(narrow.canSkipDirectory("src/bin"), true);
  assert.equal(narrow.canSkipDirectory("docs"), false);
  assert.equal(narrow.canSkipDirectory("docs/old"), true);
});

test("a negation in front of the pattern that excludes does not keep a directory", () => {
  assert.equal(makeIgnoreMatcher(["!logs/keep", "logs"]).canSkipDirectory("logs"), true);
});

test("a directory that may be skipped has nothing below it that is kept", () => {
  const part = fc.constantFrom("a", "b", "*", "**", "?", "a*");
  const pattern = fc
    .tuple(fc.boolean(), fc.array(part, { minLength: 1, maxLength: 3 }))
    .map(([isNegated, parts]) => (isNegated ? "!" : "") + parts.join("/"));
  const path = fc.array(fc.constantFrom("a", "b", "ab"), { minLength: 2, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 5 }), path, (patterns, parts) => {
      const matcher = makeIgnoreMatcher(patterns);
      const whole = parts.join("/");
      for (let depth = 1; depth < parts.length; depth++) {
        if (matcher.canSkipDirectory(parts.slice(0, depth).join("/"))) assert.ok(matcher.excludes(whole));
      }
    }),
    { numRuns: 500 },
  );
});

test("after any text, a pattern with many stars is at each of its places at most once", () => {
  const path = `${"a".repeat(500)}/${"a/".repeat(300)}c`;
  for (const text of [`${"*a".repeat(500)}b`, `${"**/a/".repeat(200)}b`, `[${"a".repeat(3000)}]`]) {
    const pattern = compileIgnorePattern(text, false);
    let places: Places | undefined;
    for (const char of path) {
      places = pattern.read(char, places);
      assert.ok(places.length <= text.length + 1);
      assert.equal(new Set(places).size, places.length);
    }
    assert.equal(makeIgnoreMatcher([text]).excludes(path), false);
  }
});

test("findPattern() names the pattern that decides", () => {
  const matcher = makeIgnoreMatcher(["*.md", "!README.md", "docs", " # no comment "]);
  assert.equal(matcher.findPattern("notes.md"), "*.md");
  assert.equal(matcher.findPattern("README.md"), undefined);
  assert.equal(matcher.findPattern("docs/a/b.txt"), "docs");
  assert.equal(matcher.findPattern("docs/a/README.md"), "docs");
  assert.equal(matcher.findPattern("# no comment"), "# no comment");
  assert.equal(matcher.findPattern("main.go"), undefined);
});

test("an ignore pattern whose range is backwards is refused, as docker's regular expressions refuse it", () => {
  assert.throws(() => makeIgnoreMatcher(["a[z-b]"]), {
    name: "BuildError",
    message: 'Cannot read the ignore pattern "a[z-b]": its range z-b is backwards',
  });
  assert.ok(makeIgnoreMatcher(["a[b-b]"]).excludes("ab"));
});
