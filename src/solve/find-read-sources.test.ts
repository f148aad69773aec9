import assert from "node:assert/strict";
import { test } from "node:test";
import { planText } from "../../test/plan-text.ts";
import { findReadSources } from "./find-read-sources.ts";

/** The images among the read sources, as the Dockerfile names them. */
function readImages(text: string, options?: { readonly readsOutputs: boolean }): string[] {
  const plan = planText(text);
  const read = findReadSources(plan, options);
  return plan.steps.flatMap((step) => {
    if (step.kind !== "source" || step.source.kind !== "image" || !read.has(step.id)) return [];
    return [step.source.reference];
  });
}

test("findReadSources() finds what commands, COPYs, mounts and names of users look into", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["FROM a\nCOPY x /\nWORKDIR /w\n", []],
    ["FROM a\nRUN x\n", ["a"]],
    ["FROM a\nCOPY x /\nWORKDIR /w\nRUN x\n", ["a"]],
    ["FROM a AS s\nCOPY x /\nFROM b\nCOPY --from=s /x /\n", ["a"]],
    ["FROM a\nCOPY --from=b /x /\n", ["b"]],
    ["FROM a\nRUN --mount=from=b,target=/b x\n", ["a", "b"]],
    ["FROM a\nCOPY --chown=1:2 x /\n", []],
    ["FROM a\nCOPY --chown=who x /\n", ["a"]],
    ["FROM a\nUSER 7\nWORKDIR /w\n", []],
    ["FROM a\nUSER who\nWORKDIR /w\n", ["a"]],
  ];
  for (const [text, expected] of cases) assert.deepEqual(readImages(text).sort(), expected, text);
});

test("findReadSources() finds what comes out, where somebody reads that", () => {
  assert.deepEqual(readImages("FROM a\nCOPY x /\n", { readsOutputs: true }), ["a"]);
  assert.deepEqual(readImages("FROM a AS s\nFROM b\nCOPY x /\n", { readsOutputs: true }), ["b"]);
});
