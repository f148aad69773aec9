/**
 * `npm run fuzz -- [COUNT [SEED]]`: Dockerfiles by the grammar, each parsed, planned and linted; 100,000 by default. A crash is told with its
 * seed and text. The seeds follow one another, so that `npm run fuzz -- 1 SEED` repeats one.
 */
import { exerciseDockerfile, type Outcome } from "../test/exercise-dockerfile.ts";
import { generateDockerfile, makeRandom } from "../test/generate-dockerfile.ts";

const [count = 100_000, first = Date.now() >>> 0] = process.argv.slice(2).map(Number);
/** A text that takes longer than this is a finding, too. */
const SLOW_MS = 1000;

const outcomes: Record<Outcome, number> = { planned: 0, parsed: 0, refused: 0 };
const start = performance.now();
for (let seed = first; seed < first + count; seed++) {
  const text = generateDockerfile(makeRandom(seed));
  const began = performance.now();
  try {
    outcomes[exerciseDockerfile(text)]++;
  } catch (error) {
    console.error(`seed ${seed}:`, error);
    process.exitCode = 1;
  }
  if (performance.now() - began > SLOW_MS) {
    console.error(`seed ${seed}: slow`);
    process.exitCode = 1;
  }
}
const seconds = ((performance.now() - start) / 1000).toFixed(1);
const { planned, parsed, refused } = outcomes;
console.log(
  `${count} Dockerfiles from seed ${first} in ${seconds} s: ${planned} planned, ${parsed} only parsed, ${refused} refused`,
);
