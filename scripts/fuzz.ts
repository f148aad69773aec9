/**
 * `npm run fuzz -- [TARGET...] [--runs N] [--seed N]`: looks for inputs that break what test/fuzz/targets.ts says, 100,000 for each target,
 * led by what code they reach (jazzer.js, which is libFuzzer). A finding is told and kept in test/fuzz/corpus/TARGET; with the mend it is
 * committed, and every test run tries it again. The target `generated` is scripts/fuzz-dockerfile.ts.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { FUZZ_SEEDS } from "../test/fuzz/seeds.ts";
import { FUZZ_TARGETS } from "../test/fuzz/targets.ts";
import { adaptFuzzer } from "./adapt-fuzzer.ts";

/** In bytes; every format here says all that it can in less. */
const LENGTH_MAX = 4096;
/** Of one input: more than a busy machine can take for any of them. */
const TIMEOUT_MS = 60_000;

const repository = resolve(import.meta.dirname, "..");
const work = join(repository, ".cache/fuzz");

type Target = keyof typeof FUZZ_TARGETS;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: "string", default: "100000" }, seed: { type: "string" } },
});
const seed = values.seed ?? String(Date.now() % 2 ** 31);
const all = [...(Object.keys(FUZZ_TARGETS) as Target[]), "generated" as const];
const unknown = positionals.filter((name) => !all.includes(name as Target));
if (unknown.length > 0)
  throw new Error(`there is no target ${unknown.join(", ")}: there are ${all.join(", ")}`);

const bundle = await bundleTargets();
const jazzer = copyFuzzer();
for (const target of all) {
  if (positionals.length > 0 && !positionals.includes(target)) continue;
  const [program, ...args] =
    target === "generated"
      ? [process.execPath, join(import.meta.dirname, "fuzz-dockerfile.ts"), values.runs, seed]
      : fuzzCommand(target);
  const start = performance.now();
  const { status, stdout, stderr } = spawnSync(program!, args, { cwd: work, encoding: "utf8" });
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  const found = status === 0 ? "nothing" : "a finding";
  console.log(
    `${target}: ${values.runs} inputs from seed ${seed} in ${seconds} s${tellCoverage(stderr)}: ${found}`,
  );
  if (status === 0) continue;
  console.error(stdout, stderr);
  process.exitCode = 1;
}

/** The fuzzer follows what it loads with `require`, so the targets and what they test become one such file. */
async function bundleTargets(): Promise<string> {
  const outfile = join(work, "targets.cjs");
  await build({
    stdin: {
      contents: `import { FUZZ_TARGETS } from "./targets.ts"; export const { ${Object.keys(FUZZ_TARGETS)} } = FUZZ_TARGETS;`,
      resolveDir: join(repository, "test/fuzz"),
    },
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    packages: "external",
    logLevel: "warning",
    // For files that ask where they lie.
    define: { "import.meta.url": '"file:///"', "import.meta.dirname": '"/"' },
  });
  return outfile;
}

/** A copy of the fuzzer that may be changed: what npm installed stays as it is. Its other dependencies are found in the folders above it. */
function copyFuzzer(): string {
  const copy = join(work, "node_modules/@jazzer.js");
  // Another run may have the old files mapped.
  rmSync(copy, { recursive: true, force: true });
  cpSync(join(repository, "node_modules/@jazzer.js"), copy, { recursive: true });
  adaptFuzzer(join(copy, "fuzzer/prebuilds/fuzzer-linux-x64.node"));
  return join(copy, "core/dist/cli.js");
}

/** From libFuzzer's log: branches of our code that were reached, at first and in the end, and inputs that reached something new. */
function tellCoverage(log: string): string {
  const states = [...log.matchAll(/ cov: (\d+) ft: \d+ corp: (\d+)/g)];
  const [first, last] = [states[0], states.at(-1)];
  return first === undefined || last === undefined
    ? ""
    : ` (${first[1]} branches reached at first, ${last[1]} in the end, by ${last[2]} inputs)`;
}

function fuzzCommand(target: Target): string[] {
  const [learnt, seeds] = [join(work, "learnt", target), join(work, "seeds", target)];
  const found = join(repository, "test/fuzz/corpus", target);
  for (const directory of [learnt, seeds, found]) mkdirSync(directory, { recursive: true });
  for (const [number, bytes] of FUZZ_SEEDS[target].entries())
    writeFileSync(join(seeds, String(number)), bytes);
  const options = [`-runs=${values.runs}`, `-seed=${seed}`, `-max_len=${LENGTH_MAX}`];
  return [
    ...[process.execPath, jazzer, bundle, learnt, seeds, found],
    ...["--fuzzEntryPoint", target, "--includes", "targets.cjs", "--disableBugDetectors", ".*"],
    ...["--timeout", String(TIMEOUT_MS)],
    ...(target === "compression" ? [] : ["--sync"]),
    ...["--", ...options, `-artifact_prefix=${found}/`],
  ];
}
