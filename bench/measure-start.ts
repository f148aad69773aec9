import { spawnSync } from "node:child_process";
import { slipwayPath } from "../test/slipway.ts";
import { median } from "./median.ts";

/** Medians of whole processes, in milliseconds. */
export interface StartTimes {
  readonly nodeMs: number;
  readonly slipwayVersionMs: number;
}

const ROUNDS = 15;

/** `node -e 0` and `slipway --version`, by turns. */
export function measureStart(): StartTimes {
  const times = { node: [] as number[], slipway: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    times.node.push(time(process.execPath, ["-e", "0"]));
    times.slipway.push(time(slipwayPath, ["--version"]));
  }
  return { nodeMs: median(times.node), slipwayVersionMs: median(times.slipway) };
}

function time(program: string, args: readonly string[]): number {
  const before = performance.now();
  const { status } = spawnSync(program, args, { stdio: "ignore" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${status}`);
  return performance.now() - before;
}
