import assert from "node:assert/strict";
import { test } from "node:test";
import { exerciseDockerfile, type Outcome } from "./exercise-dockerfile.ts";
import { generateDockerfile, makeRandom } from "./generate-dockerfile.ts";

/** `npm run fuzz` does the same with a hundred thousand. */
const COUNT = 3000;

test("generated Dockerfiles parse, plan and lint, or are refused with a place", (t) => {
  const outcomes: Record<Outcome, number> = { planned: 0, parsed: 0, refused: 0 };
  for (let seed = 1; seed <= COUNT; seed++)
    outcomes[exerciseDockerfile(generateDockerfile(makeRandom(seed)))]++;
  t.diagnostic(`${outcomes.planned} planned, ${outcomes.parsed} only parsed, ${outcomes.refused} refused`);
  assert.ok(outcomes.planned > COUNT / 10, "nearly none is right: they reach little of the language");
  assert.ok(outcomes.parsed > COUNT / 10 && outcomes.refused > 0, "nearly none is wrong");
});
