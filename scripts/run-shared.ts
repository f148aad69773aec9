/**
 * Runs the corpus and the integration cases that lie beside the repository against bin/slipway, and compares with
 * `test/known-failures.json`: a case that fails without being listed there, or passes though it is listed, is an error, so the
 * numbers only go up. `node scripts/run-shared.ts [corpus|integration] [--only GLOB]`
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

interface CaseResult {
  readonly name: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly diffs: readonly string[];
}

const repository = resolve(import.meta.dirname, "..");
const shared = process.env.SLIPWAY_SHARED ?? resolve(repository, "../shared");
const known: Readonly<Record<string, readonly string[]>> = JSON.parse(
  readFileSync(join(repository, "test/known-failures.json"), "utf8"),
);

const SUITES = { corpus: runCorpus, integration: runIntegration } as const;

const args = process.argv.slice(2);
const only = args.includes("--only") ? args[args.indexOf("--only") + 1] : undefined;
const chosen = Object.keys(SUITES).filter((name) => args.includes(name));
const state = mkdtempSync(join(tmpdir(), "slipway-shared-"));
try {
  for (const name of (chosen.length === 0 ? Object.keys(SUITES) : chosen) as (keyof typeof SUITES)[]) {
    report(name, SUITES[name]());
  }
} finally {
  rmSync(state, { recursive: true, force: true });
}

function runCorpus(): CaseResult[] {
  const command = `${join(repository, "bin/slipway")} --root ${join(state, "corpus")} build`;
  const { cases } = runJson<{ cases: { id: string; pass: boolean; diffs: string[] }[] }>(
    "corpus/run.mjs",
    command,
  );
  return cases.map(({ id, pass, diffs }) => ({ name: id, status: pass ? "passed" : "failed", diffs }));
}

function runIntegration(): CaseResult[] {
  const command = `${join(repository, "bin/slipway")} --root {state} build`;
  const { cases } = runJson<{ cases: { name: string; status: CaseResult["status"]; diffs?: string[] }[] }>(
    "conformance/run-integration.mjs",
    command,
    ["--cases", join(shared, "conformance/integration/cases.json")],
  );
  return cases.map(({ name, status, diffs = [] }) => ({ name, status, diffs }));
}

function runJson<Report>(runner: string, command: string, more: readonly string[] = []): Report {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      join(shared, runner),
      "--cmd",
      command,
      "--json",
      ...more,
      ...(only === undefined ? [] : ["--only", only]),
    ],
    { encoding: "utf8", maxBuffer: 1 << 28 },
  );
  if (!stdout.startsWith("{")) throw new Error(`${runner} gave no report:\n${stdout}${stderr}`);
  return JSON.parse(stdout) as Report;
}

function report(suite: string, results: readonly CaseResult[]): void {
  const isKnown = new Set(known[suite]);
  for (const { name, status, diffs } of results) {
    if (status === "failed" && !isKnown.has(name)) {
      console.error(`FAIL ${suite} ${name}: ${diffs.slice(0, 4).join("; ")}`);
      process.exitCode = 1;
    }
    if (status === "passed" && isKnown.has(name)) {
      console.error(`${suite} ${name} passes now: take it off test/known-failures.json`);
      process.exitCode = 1;
    }
  }
  const count = (status: CaseResult["status"]) => results.filter((result) => result.status === status).length;
  console.log(`${suite}: ${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`);
}
