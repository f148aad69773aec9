import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { writeLayeredLayout } from "../layered-image.ts";
import { type MemberLike, makeTar } from "../make-layers.ts";
import type { CommandResult } from "../slipway.ts";
import { ARCHIVE_TRICKS } from "./archive-tricks.ts";
import { type Canary, placeCanary } from "./canary.ts";

describe("an archive or a layer that tries to get out of its directory", () => {
  let bench: BuildBench;
  let canary: Canary;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());
  beforeEach(() => {
    canary = placeCanary(join(bench.directory, "outside"));
  });

  /** Either an error that says what is wrong, or files that hold nothing of the host. */
  function judge({ code, stderr }: CommandResult, output: string, way: string): void {
    canary.assertUntouched(way);
    if (code === 0) canary.assertNotIn(output, way);
    else assert.match(stderr, /^Error: Cannot /m, way);
  }

  let count = 0;
  const newPath = (name: string) => join(bench.directory, `${name}-${count++}`);

  async function tryAdd(members: readonly MemberLike[]): Promise<void> {
    const [context, output] = [
      bench.context({ Dockerfile: "FROM scratch\nADD a.tar /in/\nCOPY Dockerfile /in/l/\n" }),
      newPath("out"),
    ];
    writeFileSync(join(context, "a.tar"), makeTar(members));
    judge(await bench.run(["build", "-o", output, context]), output, "ADD");
  }

  async function tryContext(members: readonly MemberLike[]): Promise<void> {
    const dockerfile = { name: "Dockerfile", content: "FROM scratch\nCOPY . /in/\nCOPY * /each/\n" };
    const output = newPath("out");
    const input = makeTar([dockerfile, ...members]);
    judge(await bench.run(["build", "-o", output, "-"], { input }), output, "a tar as the context");
  }

  /** As the upper layer of an image in which something is run: it is unpacked to the disk. */
  async function tryLayer(members: readonly MemberLike[]): Promise<void> {
    const [layout, output] = [newPath("layout"), newPath("out")];
    const busybox = { name: "bin/busybox", mode: 0o755, content: readFileSync("/bin/busybox") };
    await writeLayeredLayout(layout, [[{ name: "bin/" }, busybox], members]);
    const run = runMissing ? "" : 'RUN ["/bin/busybox", "touch", "/made"]\n';
    const dockerfile = `FROM base AS base\n${run}FROM scratch\nCOPY --from=base / /all/\nCOPY Dockerfile /all/l/\n`;
    const context = bench.context({ Dockerfile: dockerfile });
    const args = ["build", "--build-context", `base=oci-layout://${layout}`, "-o", output, context];
    judge(await bench.run(args, { env: { SLIPWAY_DISABLE: "erofs" } }), output, "a layer");
  }

  async function tryLoad(members: readonly MemberLike[]): Promise<void> {
    const [output, input] = [newPath("nothing"), makeTar(members)];
    mkdirSync(output);
    judge(await bench.run(["load"], { input }), output, "load");
    judge(await bench.run(["import", "-", "imported"], { input }), output, "import");
  }

  for (const { advisories, what, members } of ARCHIVE_TRICKS) {
    it(`${advisories.join(", ")}: ${what}`, async () => {
      const all = members(canary);
      await Promise.all([tryAdd(all), tryContext(all), tryLayer(all), tryLoad(all)]);
    });
  }
});
