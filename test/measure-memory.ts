import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { slipwayPath } from "./slipway.ts";

export interface MemoryUse {
  /** The most memory that the process had: `VmHWM` of proc(5). */
  readonly peakMib: number;
  readonly seconds: number;
}

/** Runs slipway to its end. @throws Error with what it printed when it fails. */
export async function measureMemory(args: readonly string[]): Promise<MemoryUse> {
  const begun = performance.now();
  const child = spawn(slipwayPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const ended = once(child, "close");
  let peakMib = 0;
  while (child.exitCode === null && child.signalCode === null) {
    peakMib = Math.max(peakMib, readPeakMib(child.pid!));
    await sleep(20);
  }
  await ended;
  if (child.exitCode !== 0 || peakMib === 0) throw new Error(`slipway ${args.join(" ")} failed:\n${stderr}`);
  return { peakMib, seconds: (performance.now() - begun) / 1000 };
}

/** 0 when the process is gone. */
function readPeakMib(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Math.round(Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}
