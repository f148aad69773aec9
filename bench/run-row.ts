import { compareResults } from "./compare-results.ts";
import type { RowResult, ToolResult } from "./format-table.ts";
import { measureCommands } from "./measure-commands.ts";
import type { Place } from "./open-place.ts";
import type { Row } from "./row.ts";
import type { Tool } from "./tool.ts";

/**
 * One round for memory, with a check that slipway and docker (if both take part) made the same, then the timed rounds, in each of which every tool
 * has its turn. A peer that cannot do the work is left out, with what it said.
 */
export async function runRow(row: Row, place: Place, tools: readonly Tool[]): Promise<RowResult> {
  const work = await row.setUp(place);
  const results = new Map<Tool, { peakBytes: number; timesMs: number[] }>();
  const failures: string[] = [];
  for (const tool of tools) {
    try {
      await work.prepare(tool, 0);
      const { peakBytes = 0 } = await measureCommands(tool, work.commands(tool, 0), { withMemory: true });
      results.set(tool, { peakBytes, timesMs: [] });
    } catch (error) {
      if (tool.name !== "buildah") throw error;
      failures.push(`${tool.name}: ${(error as Error).message.trim().split("\n").at(-1)}`);
    }
  }
  await work.check?.();
  const [ours, docker] = ["slipway", "docker"].map((name) => tools.find((tool) => tool.name === name));
  if (ours && docker) await compareResults(place.directory, [ours, docker], (tool) => work.result(tool, 0));
  for (let round = 1; round <= row.rounds; round++) {
    for (const [tool, { timesMs }] of results) {
      await work.prepare(tool, round);
      timesMs.push((await measureCommands(tool, work.commands(tool, round))).timeMs);
    }
  }
  const measured = Array.from(results, ([{ name }, result]): ToolResult => ({ name, ...result }));
  return { row, measured, failures };
}
