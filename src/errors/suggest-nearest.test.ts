import assert from "node:assert/strict";
import { test } from "node:test";
import { hintNearest, suggestNearest } from "./suggest-nearest.ts";

test("suggestNearest() finds a word with two letters swapped, whatever the case", () => {
  assert.equal(suggestNearest("bulider", ["base", "builder"]), "builder");
  assert.equal(suggestNearest("coppy", ["ADD", "COPY", "CMD"]), "COPY");
});

test("suggestNearest() says nothing when nothing is near", () => {
  assert.equal(suggestNearest("nosuch", ["base", "builder"]), undefined);
  assert.equal(suggestNearest("", ["a"]), undefined);
});

test("suggestNearest() prefers the nearer of two", () => {
  assert.equal(suggestNearest("form", ["farms", "from"]), "from");
});

test("hintNearest() does not propose the word itself", () => {
  assert.equal(hintNearest("from", ["from"]), undefined);
  assert.equal(hintNearest("form", ["from"]), 'Did you mean "from"?');
});
