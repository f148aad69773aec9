import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeRandom } from "../generate-dockerfile.ts";
import { FUZZ_SEEDS } from "./seeds.ts";
import { FUZZ_TARGETS, type FuzzTarget } from "./targets.ts";

/** `npm run fuzz` does many more, and knows where they lead. */
const CHANGED = 200;

/** What `npm run fuzz` has found. */
function findings(name: string): Buffer[] {
  const directory = join(import.meta.dirname, "corpus", name);
  if (!existsSync(directory)) return [];
  return readdirSync(directory).map((file) => readFileSync(join(directory, file)));
}

for (const [name, target] of Object.entries(FUZZ_TARGETS) as [keyof typeof FUZZ_TARGETS, FuzzTarget][]) {
  test(`${name}: right inputs, what was found once, and both with bytes that are changed`, async () => {
    const inputs = [...FUZZ_SEEDS[name].map((seed) => Buffer.from(seed as string)), ...findings(name)];
    const random = makeRandom(1);
    for (const input of inputs) await target(input);
    for (let count = 0; count < CHANGED; count++) {
      const input = Buffer.from(inputs[count % inputs.length]!);
      for (let changes = 0; changes < 3; changes++) {
        input[random(input.length)] = random(256);
      }
      await target(input.subarray(0, random(2 * input.length)));
    }
  });
}
