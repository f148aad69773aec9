import assert from "node:assert/strict";
import { test } from "node:test";
import { readCases, skipWithout } from "../../test/shared-data.ts";
import { BuildError } from "../errors/build-error.ts";
import { formatSyntaxTree } from "./format-syntax-tree.ts";
import { findHeredocs, heredocText, parseHeredocWord } from "./heredoc.ts";
import { parseJsonArray, splitWords } from "./parse-arguments.ts";
import { findDirective } from "./parse-directive.ts";
import { parseDockerfile } from "./parse-dockerfile.ts";
import type { Heredoc } from "./syntax-tree.ts";

const FOLDER = ["conformance", "parser"];

function skip(name: string) {
  return { skip: skipWithout(...FOLDER, name) };
}

test("parseDockerfile() gives the trees of the conformance data", skip("parse_dump.json"), (t) => {
  type Row = { name: string; dockerfile: string; dump?: string; error?: boolean };
  const rows = readCases<Row>(t, ...FOLDER, "parse_dump.json");
  for (const { name, dockerfile, dump, error } of rows) {
    if (error) assert.throws(() => parseDockerfile(dockerfile), BuildError, name);
    else assert.equal(formatSyntaxTree(parseDockerfile(dockerfile)), dump, name);
  }
});

test("parseDockerfile() finds the lines of the conformance data", skip("parse_lines.json"), (t) => {
  type Row = {
    name: string;
    dockerfile: string;
    children?: [number, number][];
    warnings?: string[][];
    errorEquals?: string;
  };
  for (const row of readCases<Row>(t, ...FOLDER, "parse_lines.json")) {
    if (row.errorEquals !== undefined) {
      assert.throws(
        () => parseDockerfile(row.dockerfile),
        (error: Error) => error.message.includes(row.errorEquals!),
      );
      continue;
    }
    const tree = parseDockerfile(row.dockerfile);
    if (row.children !== undefined) {
      assert.deepEqual(
        tree.instructions.map(({ span }) => [span.startLine, span.endLine]),
        row.children,
      );
    }
    if (row.warnings !== undefined) {
      assert.equal(tree.emptyContinuations.length, row.warnings.length);
      for (const [i, texts] of row.warnings.entries()) {
        assert.equal(tree.emptyContinuations[i]!.line, texts.at(-1));
      }
    }
  }
});

test(
  "findDirective() and the tree find the directives of the conformance data",
  skip("directives.json"),
  (t) => {
    type Row = {
      fn: "ParseAll" | "DetectSyntax" | "ParseDirective";
      key?: "check";
      dockerfile: string;
      expect: Record<string, unknown> & { ok?: boolean; value?: string; cmdline?: string };
    };
    const rows = readCases<Row>(t, ...FOLDER, "directives.json");
    assert.ok(rows.length > 0);
    for (const { fn, key, dockerfile, expect } of rows) {
      if (fn === "ParseAll") {
        const { directives } = parseDockerfile(`${dockerfile}FROM scratch\n`);
        assert.deepEqual(
          directives.map(({ key: name, value }) => [name, value]),
          [[expect["[0].Name"], expect["[0].Value"]]],
        );
        continue;
      }
      const found = findDirective(dockerfile, fn === "DetectSyntax" ? "syntax" : key!);
      assert.equal(found !== undefined, expect.ok, dockerfile);
      if (expect.value) assert.equal(found?.value, expect.value);
      if (expect.cmdline) assert.equal(found?.line, expect.cmdline);
      const line = expect["loc.[0].Start.Line"];
      if (line !== undefined) assert.equal(found?.lineNumber, line);
    }
  },
);

test("heredocs are found as in the conformance data", skip("heredocs.json"), (t) => {
  type Expected = Omit<Heredoc, "fileDescriptor"> & { fd: number };
  type Row =
    | { kind: "file"; dockerfile: string; instructionsAfterFrom: (Expected[] | null)[] }
    | { kind: "token"; token: string; heredocName?: string | null; error?: boolean }
    | { kind: "line"; line: string; heredocNames: string[] }
    | { kind: "chomp"; content: string; result: string };
  const rows = readCases<Row>(t, ...FOLDER, "heredocs.json");
  for (const row of rows) {
    switch (row.kind) {
      case "file": {
        const nodes = parseDockerfile(row.dockerfile).instructions.slice(1);
        const found = nodes.map(({ heredocs }) =>
          heredocs.map(({ fileDescriptor, ...rest }) => ({ ...rest, fd: fileDescriptor })),
        );
        assert.deepEqual(
          found,
          row.instructionsAfterFrom.map((heredocs) => heredocs ?? []),
        );
        break;
      }
      case "token":
        if (row.error) assert.throws(() => parseHeredocWord(row.token), BuildError, row.token);
        else assert.equal(parseHeredocWord(row.token)?.name, row.heredocName ?? undefined, row.token);
        break;
      case "line":
        assert.deepEqual(
          findHeredocs(row.line).map(({ name }) => name),
          row.heredocNames,
        );
        break;
      case "chomp": {
        const heredoc = { name: "X", content: row.content, expand: true, chomp: true, fileDescriptor: 0 };
        assert.equal(heredocText(heredoc), row.result);
      }
    }
  }
});

test(
  "parseJsonArray() takes arrays of strings only, as the conformance data has them",
  skip("json_arrays.json"),
  (t) => {
    type Row = { json: string; valid: boolean; values?: string[] };
    for (const { json, valid, values } of readCases<Row>(t, ...FOLDER, "json_arrays.json")) {
      if (valid) assert.deepEqual(parseJsonArray(json)?.arguments, values, json);
      else assert.throws(() => parseJsonArray(json), /comprised of strings only/, json);
    }
  },
);

test("splitWords() gives the words of the conformance data", skip("parse_words.json"), (t) => {
  type Row = { input: string; words: string[] };
  for (const { input, words } of readCases<Row>(t, ...FOLDER, "parse_words.json")) {
    assert.deepEqual(splitWords(input, "\\"), words);
  }
});

test("parseDockerfile() tolerates a byte order mark, a shebang and CRLF", () => {
  const bytes = new TextEncoder().encode(
    "\uFEFF#!/usr/bin/env slipway\r\n# syntax=a\r\nFROM x \\\r\n  AS y\r\n",
  );
  const tree = parseDockerfile(bytes);
  assert.equal(formatSyntaxTree(tree), '(from "x" "AS" "y")\n');
  assert.equal(tree.directives[0]?.value, "a");
});

test("parseDockerfile() keeps the line ends of a heredoc's body", () => {
  const tree = parseDockerfile("FROM x\r\nCOPY <<A /a\r\none\r\n\r\nA\r\n");
  assert.equal(tree.instructions[1]?.heredocs[0]?.content, "one\r\n\r\n");
  assert.equal(tree.instructions[1]?.span.endLine, 5);
});

test("parseDockerfile() collects the comments directly above an instruction", () => {
  const tree = parseDockerfile("# escape=\\\n# one\n#\n# two\n#three\nFROM x\nRUN y\n");
  assert.deepEqual(
    tree.instructions.map(({ comments }) => comments),
    [["two", "three"], []],
  );
});

test("parseDockerfile() says where an error is", () => {
  assert.throws(() => parseDockerfile("FROM a\nRUN [1]\n", { file: "sub/Dockerfile" }), {
    code: "dockerfile-syntax",
    message: 'Cannot parse "[1]": when using JSON array syntax, arrays must be comprised of strings only',
    span: { file: "sub/Dockerfile", startLine: 2, endLine: 2, startColumn: 1, endColumn: 8 },
  });
  assert.throws(() => parseDockerfile("FROM a\nRUN <<EOF\n"), {
    message: 'Cannot find the end of heredoc "EOF": unterminated heredoc',
  });
  assert.throws(() => parseDockerfile("# escape=x\nFROM a"), /Cannot use "x" as the escape character/);
  assert.throws(() => parseDockerfile("# syntax=x\n# SYNTAX=x\nFROM a"), /only one syntax parser directive/);
});

test("parseDockerfile() refuses bytes that are not UTF-8 in instructions, not in comments", () => {
  const latin1 = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
  assert.equal(parseDockerfile(latin1("# f\xfcr\nFROM x\n")).instructions.length, 1);
  assert.throws(() => parseDockerfile(latin1("FROM x\nRUN echo f\xfcr\n")), /not valid UTF-8/);
});

test("parseDockerfile() drops the last escape of an unfinished continuation", () => {
  assert.equal(formatSyntaxTree(parseDockerfile("FROM x\nRUN a \\\n")), '(from "x")\n(run "a")\n');
});

test("a byte order mark inside a HEALTHCHECK is no white space", () => {
  const { instructions } = parseDockerfile("FROM a\nHEALTHCHECK \uFEFFNONE\n");
  assert.deepEqual(instructions[1]!.arguments, ["\uFEFFNONE"]);
});
