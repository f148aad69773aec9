import { cpus } from "node:os";
import type { StartTimes } from "./measure-start.ts";
import { median } from "./median.ts";
import type { Row } from "./row.ts";
import type { Tool } from "./tool.ts";

export interface ToolResult {
  readonly name: string;
  readonly peakBytes: number;
  readonly timesMs: readonly number[];
}

export interface RowResult {
  readonly row: Row;
  /** slipway's first. */
  readonly measured: readonly ToolResult[];
  /** Peers that could not, with what they said. */
  readonly failures: readonly string[];
}

/** One row for people who wait. */
export function formatRow({ row, measured, failures }: RowResult): string {
  const parts = measured.map(
    (result) => `${result.name} ${formatTimes(result.timesMs)}, ${formatBytes(result.peakBytes)}`,
  );
  const ratio = findRatio(measured, "docker");
  return [`${row.name}: ${ratio} of docker, goal ${row.goal}`, ...parts, ...failures].join("\n  ");
}

/** The page's table, in Markdown. */
export function formatTable(
  results: readonly RowResult[],
  { tools, start }: { readonly tools: readonly Tool[]; readonly start: StartTimes },
): string {
  const names = tools.map(({ name }) => name);
  const header = [
    "Work",
    "Goal",
    "slipway : docker",
    "slipway : buildah",
    ...names,
    "Peak memory",
    "Bound by",
  ];
  const lines = results.map(({ row, measured }) => {
    const of = (name: string) => measured.find((result) => result.name === name);
    return [
      row.title,
      String(row.goal),
      findRatio(measured, "docker"),
      findRatio(measured, "buildah"),
      ...names.map((name) => formatTimes(of(name)?.timesMs)),
      names.map((name) => formatBytes(of(name)?.peakBytes)).join(" / "),
      row.bound,
    ];
  });
  const rows = [header, header.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`);
  const { nodeMs, slipwayVersionMs } = start;
  return [
    `${tools.map(({ version }) => version).join(", ")}; ${cpus().length} cores; ${new Date().toISOString().slice(0, 10)}. \`node -e 0\` takes`,
    `${nodeMs.toFixed(0)} ms, \`slipway --version\` ${slipwayVersionMs.toFixed(0)} ms. Medians, with the least and the most.`,
    "",
    ...rows,
    "",
  ].join("\n");
}

function findRatio(measured: readonly ToolResult[], peer: string): string {
  const [ours, theirs] = ["slipway", peer].map((name) => measured.find((result) => result.name === name));
  const isTimed = (ours?.timesMs.length ?? 0) > 0 && (theirs?.timesMs.length ?? 0) > 0;
  return ours && theirs && isTimed ? (median(ours.timesMs) / median(theirs.timesMs)).toFixed(3) : "-";
}

function formatTimes(timesMs: readonly number[] | undefined): string {
  if (timesMs === undefined || timesMs.length === 0) return "-";
  const [middle, least, most] = [median(timesMs), Math.min(...timesMs), Math.max(...timesMs)];
  return `${seconds(middle)} s (${seconds(least)} to ${seconds(most)})`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(ms < 10_000 ? 2 : 1);
}

function formatBytes(bytes: number | undefined): string {
  return bytes === undefined ? "-" : `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
