import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readCases, skipWithout } from "../../test/shared-data.ts";
import { BuildError } from "../errors/build-error.ts";
import { expand, expandWord, expandWords } from "./expand-word.ts";

const FOLDER = ["conformance", "parser"];

test("expandWord() does what the conformance data says", {
  skip: skipWithout(...FOLDER, "shell_word.json"),
}, (t) => {
  type Row = {
    name: string;
    platform: "all" | "unix" | "windows";
    word: string;
    env: Record<string, string>;
    result?: string;
    error?: boolean;
    errorContains?: string;
    matched?: string[];
    unmatched?: string[];
  };
  const rows = readCases<Row>(t, ...FOLDER, "shell_word.json");
  for (const row of rows) {
    const run = () => expand(row.word, row.env, { ignoreCase: row.platform === "windows" });
    if (row.error) {
      assert.throws(
        run,
        (error) => error instanceof BuildError && error.message.includes(row.errorContains ?? ""),
        `${row.name}: ${row.word}`,
      );
      continue;
    }
    const { result, matched, unmatched } = run();
    assert.equal(result, row.result, `${row.name}: ${row.word}`);
    if (row.matched) assert.deepEqual([...matched].sort(), row.matched, row.name);
    if (row.unmatched) assert.deepEqual([...unmatched].sort(), row.unmatched, row.name);
  }
});

test("expandWords() splits as the conformance data says", {
  skip: skipWithout(...FOLDER, "shell_words.json"),
}, (t) => {
  type Row = { words: string; env: Record<string, string>; result: string[] };
  for (const { words, env, result } of readCases<Row>(t, ...FOLDER, "shell_words.json")) {
    assert.deepEqual(expandWords(words, env), result, words);
  }
});

test("expandWord() honours the backtick as the escape character", () => {
  assert.equal(expandWord("C:\\dir `$x $x", { x: "1" }, { escape: "`" }), "C:\\dir $x 1");
});

test("expandWord() sees no properties of Object", () => {
  assert.equal(expandWord("${constructor:-none}", {}), "none");
});

test("expandWord() leaves quotes alone in a heredoc's body", () => {
  assert.equal(expandWord("'$x' \"$x\" \\$x", { x: "1" }, { ignoreQuotes: true }), "'1' \"1\" $x");
});

test("expandWord() stops at an expansion bomb and at deep nesting", () => {
  const big = "x".repeat(1 << 16);
  assert.throws(() => expandWord("$a".repeat(100), { a: big }), { code: "input-limit" });
  assert.throws(() => expandWord("${a//x/$a}", { a: big }), { code: "input-limit" });
  assert.throws(() => expandWord("${a:-".repeat(100_000), {}), { code: "input-limit" });
});

test("expandWord() matches patterns without backtracking", () => {
  const value = "a".repeat(20_000);
  assert.equal(expandWord("${v#*a*a*a*a*a*a*a*a*b}", { v: value }), value);
  assert.equal(expandWord("${v%b*a*a*a*a*a*a*a*a}", { v: value }), value);
});

test("expandWord() gives a word back that was escaped before", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const escaped = text.replace(/[\s\S]/gu, (char) => `\\${char}`);
      assert.equal(expandWord(escaped, {}), text);
    }),
  );
});
