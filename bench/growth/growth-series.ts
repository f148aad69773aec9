import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { slipway } from "../../test/slipway.ts";
import { writeBigFiles } from "../write-big-files.ts";

/** How the cost of one kind of work grows with its size. */
export interface GrowthSeries {
  /** Names the plot's file, and chooses it. */
  readonly name: string;
  readonly title: string;
  /** What is counted. */
  readonly unit: string;
  readonly sizes: readonly number[];
  /** Does the work in an empty directory; gives what to plot, in milliseconds by the line's name. */
  measure(directory: string, size: number): Promise<Readonly<Record<string, number>>>;
}

export const growthSeries: readonly GrowthSeries[] = [
  {
    name: "files",
    title: "COPY of a context of so many files of 100 bytes",
    unit: "files",
    sizes: [1_000, 10_000, 100_000, 1_000_000],
    async measure(directory, size) {
      const context = makeContext(directory, "context", ["FROM scratch", "COPY tree /tree", 'CMD ["x"]']);
      writeBigFiles(join(context, "tree"), { files: size, sizeBytes: 100 });
      const cold = await timeBuild(directory, context);
      return { cold, unchanged: await timeBuild(directory, context) };
    },
  },
  {
    name: "layers",
    title: "An image of so many layers of 20 files each, and COPY from all of them",
    unit: "layers",
    sizes: [1, 2, 4, 8, 16, 32, 64, 127],
    async measure(directory, size) {
      const numbers = Array.from({ length: size }, (_, number) => number);
      const lines = numbers.map((number) => `COPY ${number} /files/${number}`);
      const context = makeContext(directory, "layers", ["FROM scratch", ...lines, 'CMD ["x"]']);
      for (const number of numbers)
        writeBigFiles(join(context, String(number)), { files: 20, sizeBytes: 1_000 });
      const cold = await timeBuild(directory, context, ["-t", "layers"]);
      const above = makeContext(directory, "above", [
        "FROM scratch",
        "COPY --from=layers /files /all",
        'CMD ["x"]',
      ]);
      const copied = await timeBuild(directory, above);
      return { "one COPY for each": cold, "COPY --from all of them": copied };
    },
  },
  {
    name: "stages",
    title: "So many stages, each copying a file of the one before",
    unit: "stages",
    sizes: [1, 3, 10, 30, 100, 300],
    async measure(directory, size) {
      const stages = Array.from({ length: size }, (_, number) =>
        number === 0
          ? ["FROM scratch AS s0", "COPY file /0"]
          : [`FROM scratch AS s${number}`, `COPY --from=s${number - 1} /${number - 1} /${number}`],
      );
      const context = makeContext(directory, "stages", [...stages.flat(), 'CMD ["x"]']);
      writeFileSync(join(context, "file"), "a file\n");
      const cold = await timeBuild(directory, context);
      return { cold, unchanged: await timeBuild(directory, context) };
    },
  },
  {
    name: "builds",
    title: "So many builds at once in one store, 2,000 files each",
    unit: "builds",
    sizes: [1, 2, 4, 8],
    async measure(directory, size) {
      const contexts = Array.from({ length: size }, (_, number) => {
        const lines = ["FROM scratch", `COPY tree /tree${number}`, 'CMD ["x"]'];
        const context = makeContext(directory, `context-${number}`, lines);
        writeBigFiles(join(context, "tree"), { files: 2_000, sizeBytes: 1_000 });
        return context;
      });
      const before = performance.now();
      await Promise.all(contexts.map((context) => timeBuild(directory, context)));
      return { cold: performance.now() - before };
    },
  },
];

/** Runs `work` in a fresh directory below `parent`, which is removed afterwards. */
export async function inFreshDirectory<T>(
  parent: string,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(parent, "growth-"));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function makeContext(directory: string, name: string, lines: readonly string[]): string {
  const path = join(directory, name);
  mkdirSync(path);
  writeFileSync(join(path, "Dockerfile"), `${lines.join("\n")}\n`);
  return path;
}

/** The whole process, in milliseconds. */
async function timeBuild(directory: string, context: string, args: readonly string[] = []): Promise<number> {
  const before = performance.now();
  await slipway(["build", "--progress=quiet", ...args, context], { root: join(directory, "store") });
  return performance.now() - before;
}
