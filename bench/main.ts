/**
 * `npm run bench [-- --rounds=N --without=buildah ROW ...]`: slipway beside Debian's docker (its BuildKit) and buildah, interleaved, on
 * real work. Prints each row as it ends; with no rounds it only checks results and measures memory. A run of all rows with all tools writes the table in
 * docs/performance.md. Needs root; installs what it compares with.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { installPackages } from "../scripts/install-packages.ts";
import { openBuildah } from "./buildah-tool.ts";
import { openDocker } from "./docker-tool.ts";
import { formatRow, formatTable, type RowResult } from "./format-table.ts";
import { measureStart } from "./measure-start.ts";
import { openPlace } from "./open-place.ts";
import { contextRows } from "./rows/context-rows.ts";
import { imageRows } from "./rows/image-rows.ts";
import { runRows } from "./rows/run-rows.ts";
import { runRow } from "./run-row.ts";
import { openSlipway } from "./slipway-tool.ts";

const PAGE = resolve(import.meta.dirname, "../docs/performance.md");
const START = "<!-- npm run bench writes what follows -->\n";
const END = "<!-- npm run bench has written what precedes -->\n";

const { positionals: chosen, values } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string" }, without: { type: "string", multiple: true } },
});
const rows = [...runRows, ...imageRows, ...contextRows].filter(
  ({ name }) => chosen.length === 0 || chosen.includes(name),
);
if (rows.length === 0) throw new Error(`there are no such rows: ${chosen.join(" ")}`);

installPackages(["docker.io", "buildah", "docker-registry", "busybox-static", "crun", "runc", "passt"]);
await using opened = new AsyncDisposableStack();
// A daemon would go on without the benchmark.
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    // What is under way fails with its engine, and would end the process before all of them have ended.
    process.on("uncaughtException", () => {});
    void opened.disposeAsync().finally(() => process.exit(1));
  });
}
const place = opened.use(await openPlace());
const slipway = opened.use(await openSlipway(place.directory));
const docker = opened.use(await openDocker());
const buildah = opened.use(await openBuildah(place.directory));
const tools = [slipway, docker, buildah].filter(({ name }) => values.without?.includes(name) !== true);

const start = await measureStart();
const results: RowResult[] = [];
for (const row of rows) {
  const result = await runRow(
    values.rounds === undefined ? row : { ...row, rounds: Number(values.rounds) },
    place,
    tools,
  );
  results.push(result);
  console.log(formatRow(result));
}
const table = formatTable(results, { tools, start });
console.log(`\n${table}`);
if (chosen.length === 0 && values.without === undefined && values.rounds !== "0") {
  const page = readFileSync(PAGE, "utf8");
  const [before, after] = [page.indexOf(START) + START.length, page.indexOf(END)];
  writeFileSync(PAGE, page.slice(0, before) + table + page.slice(after));
}
