import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Command, Measurement } from "./command.ts";
import type { Tool } from "./tool.ts";
import { watchMemory } from "./watch-memory.ts";

/**
 * Runs the tool's commands in order. Memory is sampled only on demand: that takes some of the machine, and would be in the
 * times. Throws with what a command printed when it fails.
 */
export async function measureCommands(
  tool: Pick<Tool, "daemonPid" | "ownDepth">,
  commands: readonly Command[],
  { withMemory = false }: { readonly withMemory?: boolean } = {},
): Promise<Measurement> {
  const before = performance.now();
  let peakBytes = 0;
  for (const command of commands) {
    peakBytes = Math.max(peakBytes, await runCommand(tool, command, withMemory));
  }
  const timeMs = performance.now() - before;
  return withMemory ? { timeMs, peakBytes } : { timeMs };
}

async function runCommand(
  { daemonPid, ownDepth }: Pick<Tool, "daemonPid" | "ownDepth">,
  { program, args, env }: Command,
  withMemory: boolean,
): Promise<number> {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const roots = daemonPid === undefined ? [child.pid!] : [child.pid!, daemonPid];
  const watch = withMemory ? watchMemory({ roots, ownDepth }) : undefined;
  // Only the end of the output is for people: a chatty build is not kept.
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-4000);
    });
  }
  const [code] = await once(child, "close");
  const peakBytes = watch?.stop() ?? 0;
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}:\n${output}`);
  return peakBytes;
}
