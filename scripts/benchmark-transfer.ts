/**
 * `npm run bench:transfer`: an image of five layers over loopback, beside skopeo and docker on the same bytes. Every tool has its turn in each
 * round, for other work on the machine slows all; prints medians, ratios and the most memory of all processes. A few minutes;
 * `-- pull push` for the rows that begin so. Needs root.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "../bench/command.ts";
import { openDocker } from "../bench/docker-tool.ts";
import { measureCommands } from "../bench/measure-commands.ts";
import { median } from "../bench/median.ts";
import { openSlipway } from "../bench/slipway-tool.ts";
import type { Tool } from "../bench/tool.ts";
import { writeBigFiles } from "../bench/write-big-files.ts";
import { slipway as runSlipway, slipwayPath } from "../test/slipway.ts";
import { startRegistry } from "../test/start-registry.ts";
import { installPackages } from "./install-packages.ts";

const ROUNDS = 3;

/** A tool's part of one kind of work: what a round prepares, and the command that is timed. */
interface Part {
  readonly name: string;
  readonly processes: Pick<Tool, "daemonPid" | "ownDepth">;
  prepare?(target: string): Promise<void>;
  command(target: string): Command;
}

interface Transfer {
  readonly title: string;
  /** Whether each turn gets an empty registry: one that has the layers, or may mount them, has nothing to receive. */
  readonly isUpload: boolean;
  readonly parts: readonly Part[];
}

installPackages(["docker.io", "docker-registry", "skopeo"]);
const work = mkdtempSync(join(tmpdir(), "slipway-transfer-"));
using _work = { [Symbol.dispose]: () => rmSync(work, { recursive: true, force: true }) };
await using slipway = await openSlipway(work);
await using docker = await openDocker();
await using registry = await startRegistry();
const big = `${registry.host}/a/big:1`;
await pushBig();
const layout = join(work, "layout");
const alone = { ownDepth: 0 };
const copy = (...args: string[]): Command => ({
  program: slipwayPath,
  args: ["copy", "-q", ...args],
  env: { SLIPWAY_ROOT: join(work, "copies") },
});
const skopeo = (...args: string[]): Command => ({
  program: "/usr/bin/skopeo",
  args: ["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", ...args],
});
await measureCommands(alone, [copy(big, `oci:${layout}:1`)]);

const transfers: readonly Transfer[] = [
  {
    title: "copy from a registry into a layout",
    isUpload: false,
    parts: [
      { name: "slipway", processes: alone, command: (target) => copy(big, `oci:${target}:1`) },
      { name: "skopeo", processes: alone, command: (target) => skopeo(`docker://${big}`, `oci:${target}:1`) },
    ],
  },
  {
    title: "copy from a layout to a registry",
    isUpload: true,
    parts: [
      { name: "slipway", processes: alone, command: (target) => copy(`oci:${layout}:1`, `${target}/a:1`) },
      {
        name: "skopeo",
        processes: alone,
        command: (target) => skopeo(`oci:${layout}:1`, `docker://${target}/a:1`),
      },
    ],
  },
  {
    title: "pull: verified, inflated, ready for a build",
    isUpload: false,
    parts: [slipway, docker].map((tool) => ({
      name: tool.name,
      processes: tool,
      prepare: () => tool.empty(),
      command: () => tool.pull(big),
    })),
  },
  {
    title: "push of an image that was pulled",
    isUpload: true,
    parts: [slipway, docker].map((tool) => ({
      name: tool.name,
      processes: tool,
      prepare: (target) =>
        measureCommands(tool, [tool.pull(big), tool.tag(big, `${target}/a:1`)]).then(() => {}),
      command: (target) => tool.push(`${target}/a:1`),
    })),
  },
];

const wanted = process.argv.slice(2);
for (const transfer of transfers) {
  if (wanted.length === 0 || wanted.some((word) => transfer.title.startsWith(word))) await measure(transfer);
}

async function measure({ title, isUpload, parts }: Transfer): Promise<void> {
  const results = parts.map((part) => ({ part, timesMs: [] as number[], peakBytes: 0 }));
  // The first round is for memory: to watch it takes some of the machine.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const result of results) {
      const { processes, command, prepare } = result.part;
      const withMemory = round === 0;
      const { timeMs, peakBytes = 0 } = await withTarget(isUpload, async (target) => {
        await prepare?.(target);
        return await measureCommands(processes, [command(target)], { withMemory });
      });
      if (withMemory) result.peakBytes = peakBytes;
      else result.timesMs.push(timeMs);
    }
  }
  const [ours, theirs] = results.map(({ timesMs }) => median(timesMs));
  console.log(`${title}: ${(ours! / theirs!).toFixed(2)} of ${parts[1]!.name}`);
  for (const { part, timesMs, peakBytes } of results) {
    const range = `${seconds(Math.min(...timesMs))} to ${seconds(Math.max(...timesMs))}`;
    const memory = `${(peakBytes / 2 ** 20).toFixed(0)} MiB`;
    console.log(`  ${part.name} ${seconds(median(timesMs))} s (${range}), ${memory}`);
  }
}

/** 426 MB in five layers, two of which nothing compresses: 243 MB of blobs. */
async function pushBig(): Promise<void> {
  const context = join(work, "context");
  mkdirSync(context);
  const lines = ["FROM scratch"];
  for (const [layer, files] of [2000, 1997, 2003].entries()) {
    writeBigFiles(join(context, `${layer}`), { files, sizeBytes: 65_000 });
    lines.push(`COPY ${layer} /${layer}/`);
  }
  for (const name of ["x", "y"]) {
    writeFileSync(join(context, name), randomBytes(50_000_000));
    lines.push(`COPY ${name} /`);
  }
  writeFileSync(join(context, "Dockerfile"), lines.join("\n"));
  await runSlipway(["build", "-t", big, "--push", context], { root: join(work, "made") });
  rmSync(context, { recursive: true });
}

async function withTarget<T>(isUpload: boolean, use: (target: string) => Promise<T>): Promise<T> {
  if (isUpload) {
    await using registry = await startRegistry();
    return await use(registry.host);
  }
  const directory = mkdtempSync(join(work, "target-"));
  try {
    return await use(join(directory, "layout"));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(2);
}
