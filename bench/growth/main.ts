/**
 * `npm run bench:scale [-- --rounds=N --limit=SIZE SERIES ...]`: how the cost of slipway's work grows with its size. Prints medians
 * and how the last step grows, and draws docs/growth-SERIES.svg; sizes above `--limit` are left out. Needs no privilege; the
 * million files need 10 GB and some minutes.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { median } from "../median.ts";
import { drawPlot } from "./draw-plot.ts";
import { type GrowthSeries, growthSeries, inFreshDirectory } from "./growth-series.ts";

const docs = resolve(import.meta.dirname, "../../docs");
const work = resolve(import.meta.dirname, "../../.cache/bench");
const { positionals: chosen, values } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "3" }, limit: { type: "string", default: "Infinity" } },
});
const all = growthSeries.filter(({ name }) => chosen.length === 0 || chosen.includes(name));
if (all.length === 0) throw new Error(`there are no such series: ${chosen.join(" ")}`);

mkdirSync(work, { recursive: true });
for (const series of all) await measureSeries(series);

async function measureSeries(series: GrowthSeries): Promise<void> {
  const { name, title, unit } = series;
  console.log(title);
  const lines = new Map<string, { x: number; y: number }[]>();
  for (const size of series.sizes.filter((one) => one <= Number(values.limit))) {
    const times = await measureSize(series, size);
    const texts = [...times].map(([line, ms]) => {
      const points = lines.get(line) ?? [];
      points.push({ x: size, y: ms / 1000 });
      lines.set(line, points);
      return `${line} ${(ms / 1000).toFixed(2)} s${formatGrowth(points)}`;
    });
    console.log(`  ${size} ${unit}: ${texts.join(", ")}`);
  }
  const plot = {
    title,
    xLabel: unit,
    yLabel: "seconds",
    lines: Array.from(lines, ([line, points]) => ({ name: line, points })),
  };
  writeFileSync(resolve(docs, `growth-${name}.svg`), drawPlot(plot));
}

/** Medians by the line's name. */
async function measureSize(series: GrowthSeries, size: number): Promise<Map<string, number>> {
  const rounds: Readonly<Record<string, number>>[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    rounds.push(await inFreshDirectory(work, (directory) => series.measure(directory, size)));
  }
  return new Map(Object.keys(rounds[0]!).map((line) => [line, median(rounds.map((times) => times[line]!))]));
}

/** The exponent of the last step: 1 is linear. */
function formatGrowth(points: readonly { readonly x: number; readonly y: number }[]): string {
  const [before, last] = points.slice(-2);
  if (before === undefined || last === undefined) return "";
  return ` (grows with the power ${(Math.log(last.y / before.y) / Math.log(last.x / before.x)).toFixed(2)})`;
}
