import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type BuildBench, openBuildBench } from "../build-bench.ts";
import { type CommandResult, runSlipway } from "../slipway.ts";

/** Several machines with the same base image: each has a store of its own. */
export interface TravellingBench extends Disposable {
  readonly bench: BuildBench;
  /** A machine that has nothing but `busybox`. */
  openMachine(): Promise<Machine>;
}

export interface Machine {
  readonly root: string;
  run(args: readonly string[]): Promise<CommandResult>;
  /** Builds a context, plainly; a failure is a failure of the test. */
  build(directory: string, args?: readonly string[]): Promise<MachineBuild>;
}

export interface MachineBuild {
  readonly log: string;
  /** Of the manifest; empty when no output had one. */
  readonly digest: string;
  /** The names of the steps that ran. */
  readonly ran: readonly string[];
  /** The names of the steps that were found. */
  readonly cached: readonly string[];
}

export async function openTravellingBench(): Promise<TravellingBench> {
  const bench = await openBuildBench();
  const archive = join(bench.directory, "base.tar");
  const saved = await bench.run(["save", "-o", archive, "busybox"]);
  assert.equal(saved.code, 0, saved.stderr);
  let count = 0;
  return {
    bench,
    async openMachine() {
      const root = join(bench.directory, `machine-${count++}`);
      const run: Machine["run"] = (args) => runSlipway(["--root", root, ...args]);
      const loaded = await run(["load", "-i", archive]);
      assert.equal(loaded.code, 0, loaded.stderr);
      return { root, run, build: (directory, args = []) => build(run, directory, args) };
    },
    [Symbol.dispose]: () => bench[Symbol.dispose](),
  };
}

async function build(run: Machine["run"], directory: string, args: readonly string[]): Promise<MachineBuild> {
  const facts = `${directory}.facts`;
  const command = ["build", "--progress=plain", "--metadata-file", facts, ...args, directory];
  const { code, stderr } = await run(command);
  assert.equal(code, 0, stderr);
  const digest = (JSON.parse(readFileSync(facts, "utf8")) as Record<string, string>)["containerimage.digest"];
  return { log: stderr, digest: digest ?? "", ...readSteps(stderr) };
}

/** Of plain progress: `#3 [stage 1/2] RUN true`, and at its end `#3 CACHED` or `#3 DONE 0.1s`. */
function readSteps(log: string): Pick<MachineBuild, "ran" | "cached"> {
  const names = new Map(
    [...log.matchAll(/^#(\d+) (\[.*)$/gm)].map(([, number, name]) => [number!, name!] as const),
  );
  const ended = (end: string) =>
    [...log.matchAll(new RegExp(`^#(\\d+) ${end}`, "gm"))].flatMap(([, number]) => names.get(number!) ?? []);
  return { ran: ended("DONE"), cached: ended("CACHED") };
}
