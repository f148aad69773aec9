import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { registryMissing, startRegistry } from "../start-registry.ts";

const skip = runMissing;
const bench: BuildBench = await openBuildBench();
after(() => bench[Symbol.dispose]());

test("--build-arg-file takes lines of --build-arg, which wins", { skip }, async () => {
  const file = join(bench.directory, "args.conf");
  writeFileSync(file, "# A=comment\n\nA=of the file\nB=1\r\nHERE\n");
  const show = 'echo "$A $B $HERE"';
  const run = `FROM busybox\nARG A B HERE\nRUN ${show}\n`;
  const print = async (...args: readonly string[]) => {
    const directory = bench.context({ Dockerfile: run });
    const all = ["build", "--progress=plain", "--no-cache", "--build-arg-file", file, ...args, directory];
    return /^#\d+ \d+\.\d{3} (.*)$/m.exec((await bench.run(all, { env: { HERE: "here" } })).stderr)?.[1];
  };
  assert.equal(await print(), "of the file 1 here");
  assert.equal(await print("--build-arg", "A=of the option"), "of the option 1 here");
  writeFileSync(file, "=x\n");
  const { stderr } = await bench.build("FROM scratch\n", { args: ["--build-arg-file", file] });
  assert.match(stderr, /^Error: Cannot use "=x" for --build-arg-file .*args\.conf: it is not NAME=VALUE$/m);
});

test("--ignorefile replaces .dockerignore, also of a tar on stdin", async () => {
  const ignoreFile = join(bench.directory, "other.ignore");
  writeFileSync(ignoreFile, "b\n");
  const files = { Dockerfile: "FROM scratch\nCOPY . /\n", ".dockerignore": "a\n", a: "", b: "" };
  const directory = bench.context(files);
  const namesOf = async (context: string, input?: Uint8Array) => {
    const result = await bench.run(["build", "-t", "ignored", "--ignorefile", ignoreFile, context], {
      input,
    });
    assert.equal(result.code, 0, result.stderr);
    return (await bench.run(["ls", "ignored"])).stdout.trim().split("\n");
  };
  const expected = [".dockerignore", "Dockerfile", "a"];
  assert.deepEqual(await namesOf(directory), expected);
  assert.deepEqual(await namesOf("-", execFileSync("tar", ["-C", directory, "-c", "."])), expected);
  const missing = await bench.run(["build", "--ignorefile", "/nowhere", directory]);
  assert.match(missing.stderr, /^Error: Cannot read the ignore file "\/nowhere": there is no such file/m);
});

test("--unsetenv and --unsetlabel take from the image what RUNs still see", { skip }, async () => {
  const base = 'FROM busybox AS base\nENV A=1 B=2\nLABEL a=1 b=2\nFROM base\nRUN echo "saw $A"\n';
  const args = ["--unsetenv", "A", "--unsetlabel", "a", "--label", "c=3", "-t", "unset"];
  const { code, stderr } = await bench.build(base, { args });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /saw 1$/m);
  const { Config } = JSON.parse((await bench.run(["inspect", "unset"])).stdout)[0];
  assert.deepEqual(Config.Labels, { b: "2", c: "3" });
  assert.deepEqual(
    Config.Env.map((one: string) => one.split("=")[0]),
    ["PATH", "B"],
  );
});

test("--jobs says how many RUNs go on at once", { skip }, async () => {
  // Each waits a while for the other one to be there.
  const wait = (own: string, other: string) =>
    `ARG TRIES\nRUN --mount=type=cache,target=/c touch /c/${own}; for i in $(seq $TRIES); do test -e /c/${other} && break; sleep 0.05; done; test -e /c/${other} && echo together; sleep 0.2; rm /c/${own}`;
  const dockerfile = `FROM busybox AS a\n${wait("a", "b")}\nFROM busybox AS b\n${wait("b", "a")}\nFROM a\nCOPY --from=b /bin/true /x\n`;
  const countTogether = async (jobs: string, tries: number) => {
    const args = ["--no-cache", "--jobs", jobs, "--build-arg", `TRIES=${tries}`];
    const { stderr } = await bench.build(dockerfile, { args });
    return stderr.match(/ together$/gm)?.length ?? 0;
  };
  assert.equal(await countTogether("1", 20), 0);
  assert.ok((await countTogether("2", 600)) > 0);
});

test("--pull asks the registry also for an image that is here", { skip: registryMissing }, async () => {
  await using registry = await startRegistry();
  const name = `${registry.host}/moved:1`;
  const publish = async (label: string) => {
    const other = join(bench.directory, "other-store");
    const directory = bench.context({ Dockerfile: `FROM scratch\nLABEL v=${label}\n` });
    const { code, stderr } = await bench.run(["--root", other, "build", "--push", "-t", name, directory]);
    assert.equal(code, 0, stderr);
  };
  const labelOf = async (...args: readonly string[]) => {
    const { code, stderr } = await bench.build(`FROM ${name}\n`, { args: ["-t", "on-it", ...args] });
    assert.equal(code, 0, stderr);
    return JSON.parse((await bench.run(["inspect", "on-it"])).stdout)[0].Config.Labels.v;
  };
  await publish("old");
  assert.equal(await labelOf(), "old");
  await publish("new");
  assert.equal(await labelOf(), "old");
  assert.equal(await labelOf("--pull"), "new");
});

test("--rm, --force-rm and --compress have no effect, and -D says so", async () => {
  const args = ["--rm", "--force-rm=true", "--compress"];
  const quiet = await bench.build("FROM scratch\nLABEL a=b\n", { args });
  assert.equal(quiet.code, 0, quiet.stderr);
  assert.doesNotMatch(quiet.stderr, /no effect/);
  const told = await bench.build("FROM scratch\nLABEL a=b\n", { args: [...args, "-D"] });
  assert.match(told.stderr, /^Debug: --rm has no effect\nDebug: --force-rm .*\nDebug: --compress .*\n/);
});

test("--normalize-modes makes two checkouts with other umasks the same, and leaves other stages alone", async () => {
  const checkOut = (umask: number) => {
    const directory = bench.context({
      Dockerfile:
        "FROM scratch AS made\nCOPY --chmod=640 src/plain /kept\nFROM scratch\nCOPY src /src\nCOPY --from=made /kept /\n",
      "src/plain": "",
      "src/tool": "",
    });
    chmodSync(join(directory, "src/plain"), 0o666 & ~umask);
    chmodSync(join(directory, "src/tool"), 0o777 & ~umask);
    mkdirSync(join(directory, "src/inner"), { mode: 0o777 & ~umask });
    return directory;
  };
  const build = async (directory: string, ...args: readonly string[]) => {
    const { code, stderr } = await bench.run([
      "build",
      "--progress=plain",
      "-t",
      "modes",
      ...args,
      directory,
    ]);
    assert.equal(code, 0, stderr);
    return stderr;
  };
  await build(checkOut(0o077), "--normalize-modes");
  const { stdout } = await bench.run(["ls", "-lR", "modes"]);
  const modes = Object.fromEntries(
    stdout
      .trim()
      .split("\n")
      .map((line) => [line.split(" ").at(-1), line.slice(0, 10)]),
  );
  assert.deepEqual(modes, {
    kept: "-rw-r-----",
    src: "drwxr-xr-x",
    "src/inner": "drwxr-xr-x",
    "src/plain": "-rw-r--r--",
    "src/tool": "-rwxr-xr-x",
  });
  assert.match(await build(checkOut(0o002), "--normalize-modes"), /COPY src \/src\n.*CACHED/s);
  assert.doesNotMatch(await build(checkOut(0o002)), /COPY src \/src\n#\d+ CACHED/);
});
