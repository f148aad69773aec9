import assert from "node:assert/strict";
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { runCommand } from "../slipway.ts";

const PART = "p".repeat(200);
/** What Linux takes at most in one call, without the NUL (PATH_MAX). */
const PATH_MAX = 4095;
const DEPTH = 20;

/** Goes down `depth` directories below one, step by step, and calls `make` with where that is; a path may be too long for it. */
function descend(directory: string, depth: number, make: (deepest: string) => void): void {
  let fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  for (let step = 0; step < depth; step++) {
    mkdirSync(`/proc/self/fd/${fd}/${PART}`, { recursive: true });
    const next = openSync(`/proc/self/fd/${fd}/${PART}`, constants.O_RDONLY | constants.O_DIRECTORY);
    closeSync(fd);
    fd = next;
  }
  make(`/proc/self/fd/${fd}`);
  closeSync(fd);
}

describe("paths near PATH_MAX", { skip: runMissing, timeout: 600_000 }, () => {
  let bench: BuildBench;
  /** The longest path that a file of an image can have. */
  const name = "f".repeat(PATH_MAX - 1 - DEPTH * (PART.length + 1));
  const path = `${`${PART}/`.repeat(DEPTH)}${name}`;
  before(async () => {
    bench = await openBuildBench();
  });
  after(() => bench[Symbol.dispose]());

  function context(dockerfile: string, depth: number): string {
    const directory = bench.context({ Dockerfile: dockerfile });
    mkdirSync(join(directory, "deep"));
    descend(join(directory, "deep"), depth, (deepest) => {
      writeFileSync(`${deepest}/${name}`, "deep\n", { mode: 0o640 });
      writeFileSync(`${deepest}/\xff`, "bytes\n");
    });
    return directory;
  }
  async function build(directory: string, args: readonly string[] = []): Promise<string> {
    const { code, stdout, stderr } = await bench.run(["build", "--progress=plain", ...args, directory]);
    assert.equal(code, 0, stderr);
    return stdout + stderr;
  }

  it("go from a context through layer, RUN and unpacking to a directory", async () => {
    assert.equal(Buffer.byteLength(`/${path}`), PATH_MAX);
    const directory = context("FROM busybox\nCOPY deep /\n", DEPTH);
    await build(directory, ["-t", "deep"]);
    const seen = await bench.build(`FROM deep\nRUN cat /${path} > /seen && chmod 600 /${path} && cat /seen`, {
      args: ["-t", "changed"],
    });
    assert.equal(seen.code, 0, seen.stderr);
    assert.match(seen.stderr, /^#\d+ [\d.]+ deep$/m);
    const unpacked = await bench.run(
      [
        "build",
        "--no-cache",
        "--progress=plain",
        bench.context({ Dockerfile: `FROM changed\nRUN stat -c %a /${path}` }),
      ],
      {
        env: { SLIPWAY_DISABLE: "erofs" },
      },
    );
    assert.equal(unpacked.code, 0, unpacked.stderr);
    assert.match(unpacked.stderr, /^#\d+ [\d.]+ 600$/m);
    assert.equal((await bench.run(["cat", `changed:/${path}`])).stdout, "deep\n");

    const out = join(bench.directory, "out");
    await build(directory, ["-o", out]);
    descend(out, DEPTH, (deepest) => assert.equal(readFileSync(`${deepest}/${name}`, "utf8"), "deep\n"));
    // Again, over what is there, and with what others left removed.
    descend(out, DEPTH, (deepest) => writeFileSync(`${deepest}/other`, ""));
    await build(directory, ["-o", `type=local,dest=${out},mode=delete`]);
    descend(out, DEPTH, (deepest) => assert.ok(!readdirSync(deepest).includes("other")));
    rmSync(out, { recursive: true });

    const tar = join(bench.directory, "deep.tar");
    await build(directory, ["-o", `type=tar,dest=${tar}`]);
    const { stdout } = await runCommand("tar", ["-tf", tar]);
    assert.ok(stdout.split("\n").includes(path), "GNU tar reads it");
  });

  it("that are longer are an error that says so, in a COPY and in a RUN, and nothing is left behind", async () => {
    const copied = await bench.run(["build", context("FROM scratch\nCOPY deep /\n", DEPTH + 1)]);
    assert.equal(copied.code, 1);
    assert.match(
      copied.stderr,
      /Cannot put "\/p+\.\.\." into a layer: its path has \d+ bytes, Linux takes no more than 4096/,
    );
    // Two halves, each of which has a path that can be named.
    const half = `${PART}/`.repeat(DEPTH / 2);
    const ran = await bench.build(
      `FROM busybox\nRUN mkdir -p /a/${half} /b/${half}${PART} && mv /b /a/${half}`,
    );
    assert.equal(ran.code, 1, ran.stderr);
    assert.match(ran.stderr, /Cannot put "\/a\/p+\.\.\." into a layer/);
    assert.equal((await bench.run(["prune", "--all"])).code, 0);
    assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
  });
});
