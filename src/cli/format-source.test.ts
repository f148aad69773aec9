import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSource } from "./format-source.ts";

test("the mark stands under what an error quotes, also behind tabs, wide characters and a byte order mark", () => {
  const quoted = "${X:?no}";
  for (const [text, column] of [
    [`LABEL a="b" c=${quoted}`, 14],
    // Four columns for a tab, two for each of the three characters.
    [`LABEL\ta=${quoted}`, 11],
    [`LABEL a="日本語" b=${quoted}`, 19],
    [`\uFEFFLABEL a=${quoted}`, 8],
  ] as const) {
    const lines = formatSource({ file: "Dockerfile", startLine: 1, endLine: 1 }, (_name, shown) => shown, {
      sources: new Map([["Dockerfile", `${text}\r\n`]]),
      message: `Cannot expand "${quoted}": X: no`,
    });
    assert.equal(lines[2], `    │ ${" ".repeat(column)}${"^".repeat(quoted.length)}`, text);
  }
});
