import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type BuildEvent, build } from "../../src/index.ts";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";

const MIB = 1 << 20;

describe("a store with a limit", { skip: runMissing }, () => {
  let bench: BuildBench;
  beforeEach(async () => {
    bench = await openBuildBench();
    const steps = [1, 2, 3, 4].map((n) => `RUN dd if=/dev/zero of=/old${n} bs=1M count=4\n`);
    const { code, stderr } = await bench.build(`FROM busybox\n${steps.join("")}`);
    assert.equal(code, 0, stderr);
  });
  afterEach(() => bench[Symbol.dispose]());

  /** What living processes are working on is theirs, and the database is no part that could go. */
  const measure = (): number => {
    const args = ["-s", "-B1", "--exclude=tmp", "--exclude=*.sqlite*", bench.root];
    return Number.parseInt(execFileSync("du", args, { encoding: "utf8" }), 10);
  };
  /** Builds in this process, so that nothing else happens while an event is looked at. */
  const buildSteps = async (
    storeMaxBytes: number,
    { onStart = () => {}, onEnd }: { readonly onStart?: () => void; readonly onEnd: (step: string) => void },
  ): Promise<void> => {
    const steps = [1, 2, 3].map((n) => `RUN dd if=/dev/zero of=/new${n} bs=1M count=4\n`);
    const context = bench.context({
      Dockerfile: `FROM busybox\n${steps.join("")}COPY large /\n`,
      large: "x".repeat(4 * MIB),
    });
    const numbers = new Map<string, string>();
    const emit = (event: BuildEvent) => {
      // Not what is told beside a step once it takes long: "read the files of [5/5] COPY large /".
      const number = event.kind === "start" && /^\[(\d)\/5\] (RUN|COPY)/.exec(event.name)?.[1];
      if (number) {
        numbers.set(event.id, number);
        onStart();
      }
      if (event.kind === "end" && numbers.has(event.id)) onEnd(numbers.get(event.id)!);
    };
    await build({ context, root: bench.root, storeMaxBytes, tags: ["new"], emit }).result;
  };

  test("is below it whenever a step of a build is done", async () => {
    const max = measure() + 2 * MIB;
    const ends: { readonly step: string; readonly bytes: number }[] = [];
    await buildSteps(max, { onEnd: (step) => ends.push({ step, bytes: measure() }) });
    assert.deepEqual(
      ends.map(({ step }) => step),
      ["2", "3", "4", "5"],
    );
    assert.ok(
      ends.every(({ bytes }) => bytes <= max),
      `${JSON.stringify(ends)}, at most ${max}`,
    );
    const { code, stdout } = await bench.run(["run", "--rm", "new", "ls", "/new1", "/new3", "/large"]);
    assert.deepEqual([code, stdout], [0, "/large\n/new1\n/new3\n"]);
    assert.equal((await bench.run(["verify"])).stdout, "The store is well\n");
  });

  test("loses first what a process left that has died since the build began", async () => {
    const left = join(bench.root, "tmp/of-a-dead-process");
    const layers = () => readdirSync(join(bench.root, "layers"));
    const before = layers();
    let starts = 0;
    const ends: { readonly isLeft: boolean; readonly gone: readonly string[] }[] = [];
    // The first new layer fits, but not beside what is left.
    await buildSteps(measure() + 5 * MIB, {
      onStart() {
        if (starts++ > 0) return;
        mkdirSync(left);
        writeFileSync(join(left, "spool"), Buffer.alloc(8 * MIB));
      },
      onEnd() {
        const now = new Set(layers());
        ends.push({ isLeft: existsSync(left), gone: before.filter((id) => !now.has(id)) });
      },
    });
    assert.deepEqual(ends[0], { isLeft: false, gone: [] });
    assert.ok(ends.at(-1)!.gone.length > 0);
  });
});
