import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { after, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { runSlipway, slipwayPath } from "../slipway.ts";
import { validateImageLayout } from "../validate-image.ts";

const skip = runMissing;
const bench: BuildBench = await openBuildBench();
after(() => bench[Symbol.dispose]());

/** Builds, and returns what the RUN named `check` printed. */
async function outputOf(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const directory = bench.context({ Dockerfile: `FROM busybox\nARG A\nRUN ${command}\n` });
  const result = await bench.run(["build", "--progress=plain", "--no-cache", ...args, directory], { env });
  assert.equal(result.code, 0, result.stderr);
  return [...result.stderr.matchAll(/^#\d+ \d+\.\d{3} (.*)$/gm)].map(([, line]) => line).join("\n");
}

async function inspect(name: string) {
  return JSON.parse((await bench.run(["inspect", name])).stdout)[0];
}

test("--build-arg takes a value, or the environment's, or nothing", { skip }, async () => {
  const show = 'echo "[${A-unset}]"';
  assert.equal(await outputOf(show, ["--build-arg", "A=x=y"]), "[x=y]");
  assert.equal(await outputOf(show, ["--build-arg", "A"], { A: "here" }), "[here]");
  assert.equal(await outputOf(show, ["--build-arg", "A"], { A: undefined }), "[unset]");
  assert.equal(await outputOf(show, ["--build-arg", "A="]), "[]");
});

test("a store may be named by a relative path", { skip }, async () => {
  const directory = bench.context({ Dockerfile: "FROM busybox\nRUN echo here\n" });
  const cwd = dirname(bench.root);
  const args = ["--root", basename(bench.root), "build", "--no-cache", directory];
  const { code, stderr } = await runSlipway(args, { cwd });
  assert.equal(code, 0, stderr);
});

test("a proxy argument is seen by RUN and kept nowhere", { skip }, async () => {
  const args = ["--build-arg", "https_proxy=http://proxy:1", "-t", "proxied"];
  assert.equal(await outputOf("echo $https_proxy", args), "http://proxy:1");
  assert.doesNotMatch((await bench.run(["history", "--no-trunc", "proxied"])).stdout, /proxy:1/);
});

test("--secret gives a file or a variable", { skip }, async () => {
  const file = join(bench.directory, "secret.txt");
  writeFileSync(file, "hush");
  const show = "--mount=type=secret,id=s cat /run/secrets/s";
  assert.equal(await outputOf(show, ["--secret", `id=s,src=${file}`]), "hush");
  assert.equal(await outputOf(show, ["--secret", "id=s,env=TOKEN"], { TOKEN: "token" }), "token");
  assert.equal(await outputOf(show, ["--secret", "id=s"], { s: "by id" }), "by id");
  const missing = await bench.build("FROM busybox\n", { args: ["--secret", "id=s,src=/nowhere"] });
  assert.match(missing.stderr, /^Error: Cannot read the secret "s": ENOENT/);
});

test("--add-host, --shm-size and --ulimit are what RUN sees", { skip }, async () => {
  const hosts = await outputOf("tail -n 2 /etc/hosts", [
    "--add-host",
    "a.test:10.0.0.1",
    "--add-host",
    "b.test=[::1]",
  ]);
  assert.equal(hosts, "10.0.0.1\ta.test\n::1\tb.test");
  assert.match(await outputOf("df -k /dev/shm | tail -n 1", ["--shm-size", "16m"]), /^shm +16384 /);
  assert.equal(await outputOf("ulimit -n; ulimit -Hn", ["--ulimit", "nofile=100:200"]), "100\n200");
});

test("--network none takes the network away, host gives the host's", { skip }, async () => {
  assert.equal(await outputOf("ls /sys/class/net", ["--network", "none"]), "lo");
  const own = readdirSync("/sys/class/net").sort().join("\n");
  assert.equal(await outputOf("ls /sys/class/net | sort", ["--network", "host"]), own);
});

test("-f - reads the Dockerfile on stdin, and errors point into it", { skip }, async () => {
  const directory = bench.context({ file: "" });
  const build = (input: string) => bench.run(["build", "-q", "-f", "-", directory], { input });
  assert.match((await build("FROM busybox\nRUN true\n")).stdout, /^sha256:/);
  const { code, stderr } = await build("FROM busybox\nRUN echo before; exit 5\n# after\n");
  assert.equal(code, 1);
  assert.equal(
    stderr,
    `Error: Cannot run "/bin/sh -c echo before; exit 5": it ended with exit code 5

<stdin>:2:1
  1 │ FROM busybox
> 2 │ RUN echo before; exit 5
  3 │ # after

The last lines of its output:
  │ before
`,
  );
});

test("-q prints the image id and nothing else; --iidfile writes the same", { skip }, async () => {
  const iidfile = join(bench.directory, "iid");
  const { stdout, stderr } = await bench.run([
    "build",
    "-q",
    "--iidfile",
    iidfile,
    bench.context({ Dockerfile: "FROM busybox\nRUN echo loud\n" }),
  ]);
  assert.match(stdout, /^sha256:[0-9a-f]{64}\n$/);
  assert.equal(stderr, "");
  assert.equal(readFileSync(iidfile, "utf8"), stdout.trim());
});

test("--metadata-file tells digests and names", async () => {
  const path = join(bench.directory, "metadata.json");
  const archive = join(bench.directory, "meta.tar");
  const args = [
    "-t",
    "meta",
    "-t",
    "x.test/meta:2",
    "--metadata-file",
    path,
    "-o",
    `type=oci,dest=${archive}`,
  ];
  const { code, stderr } = await bench.build("FROM scratch\nLABEL a=b\n", { args });
  assert.equal(code, 0, stderr);
  const facts = JSON.parse(readFileSync(path, "utf8"));
  const [image] = await validateImageLayout(archive);
  assert.equal(facts["containerimage.digest"], image!.digest);
  assert.equal(facts["containerimage.descriptor"].digest, image!.digest);
  assert.equal(facts["containerimage.config.digest"], (image!.manifest.config as { digest: string }).digest);
  assert.equal(facts["image.name"], "docker.io/library/meta:latest,x.test/meta:2");
});

test("outputs: an OCI archive, a directory, docker's archive on stdout, and cacheonly", async () => {
  const directory = bench.context({ Dockerfile: "FROM busybox\nCMD x\n" });
  const path = (name: string) => join(bench.directory, name);
  const outputs = [
    `type=oci,dest=${path("o.tar")}`,
    `type=oci,tar=false,dest=${path("o")}`,
    `type=docker,dest=${path("d.tar")}`,
  ];
  const { code, stderr } = await bench.run([
    "build",
    ...outputs.flatMap((one) => ["-o", one]),
    "-t",
    "out",
    directory,
  ]);
  assert.equal(code, 0, stderr);
  const images = await Promise.all(["o.tar", "o", "d.tar"].map((name) => validateImageLayout(path(name))));
  assert.deepEqual(
    images.map((found) => found.length),
    [1, 1, 1],
  );
  assert.equal(images[0]![0]!.digest, images[1]![0]!.digest);
  // What goes elsewhere does not become an image of the store, unless --load says so.
  assert.notEqual((await bench.run(["inspect", "out"])).code, 0);
  await bench.run(["build", "--load", "-o", "type=cacheonly", "-t", "out", directory]);
  assert.equal((await bench.run(["inspect", "out"])).code, 0);
  const piped = await bench.run(["build", "-o", "type=docker,dest=-,name=piped:1", directory]);
  assert.match(piped.stdout, /piped:1/);
});

test("wrong values are errors that say what would be right", async () => {
  const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [["-o", "type=ocy"], /there is no output type "ocy"\n\nHint: Did you mean "oci"\?/],
    [["-o", "type=oci,dst=x"], /there is no attribute "dst"\n\nHint: Did you mean "dest"\?/],
    [["-o", "type=oci,dest=x,push=true"], /push means nothing for the type oci/],
    [["-o", "type=oci,compression=lzma"], /there is no compression "lzma"/],
    [["-o", "type=local"], /it has no dest/],
    [["--annotation", "layer:a=b"], /there is no level "layer"/],
    [["--timestamp", "now"], /Cannot use "now" for --timestamp/],
    [["--push"], /Cannot push the image: it has no name/],
    [["--network", "hst"], /Hint: Did you mean "host"\?/],
    [["--allow", "network.hots"], /Hint: Did you mean "network.host"\?/],
    [["--ulimit", "nofiles=1"], /there is no limit "nofiles"\n\nHint: Did you mean "nofile"\?/],
    [["--ulimit", "nofile=2:1"], /the soft limit is above the hard one/],
    [["--shm-size", "big"], /Cannot use "big" for --shm-size: it is no size/],
    [["--add-host", "a:b"], /it is not HOST:ADDRESS/],
    [["--secret", "src=x"], /it has no id/],
    [["--build-arg", "=x"], /Cannot use "=x" for --build-arg/],
    [["--progress", "plian"], /Did you mean "plain"\?/],
    [["--jobs", "0"], /Cannot use "0" for --jobs/],
    [["--platform", "linux/amd64/v1/x"], /it has more than three parts/],
    [["-t", "Big"], /must be lowercase/],
  ];
  const directory = bench.context({ Dockerfile: "FROM scratch\n" });
  for (const [args, message] of cases) {
    const { code, stderr } = await bench.run(["build", ...args, directory]);
    assert.match(stderr, message, args.join(" "));
    assert.equal(code, 1, args.join(" "));
  }
  assert.ok(!existsSync("x"));
});

test("a context on stdin and a Dockerfile on stdin exclude each other", async () => {
  const { code, stderr } = await bench.run(["build", "-f", "-", "-"]);
  assert.equal(code, 1);
  assert.match(stderr, /Cannot read both the build context and the Dockerfile on stdin/);
});

test("--label, --target, --platform and --pull=false reach the build", async () => {
  const dockerfile = "FROM scratch AS one\nLABEL stage=one\nFROM scratch AS two\nLABEL stage=two\n";
  const args = [
    "-t",
    "chosen",
    "--target",
    "one",
    "--label",
    "a=b",
    "--label",
    "c",
    "--platform",
    "linux/arm64",
    "--pull=false",
  ];
  const { code, stderr } = await bench.build(dockerfile, { args });
  assert.equal(code, 0, stderr);
  const { Architecture, Config } = await inspect("chosen");
  assert.deepEqual([Architecture, Config.Labels], ["arm64", { stage: "one", a: "b", c: "" }]);
});

test("--no-cache and --no-cache-filter run again what they name", { skip }, async () => {
  const dockerfile = "FROM busybox AS one\nRUN echo > /one\nFROM one AS two\nRUN echo > /two\n";
  const cachedSteps = async (...args: readonly string[]) =>
    (await bench.build(dockerfile, { args })).stderr.match(/CACHED/g)?.length ?? 0;
  await cachedSteps();
  assert.equal(await cachedSteps(), 2);
  assert.equal(await cachedSteps("--no-cache"), 0);
  assert.equal(await cachedSteps("--no-cache-filter", "two"), 1);
});

test("Ctrl-C stops the build, tells so, and leaves nothing half-made", { skip }, async () => {
  const directory = bench.context({ Dockerfile: "FROM busybox\nRUN echo up; sleep 431\n" });
  const child = spawn(
    slipwayPath,
    ["--root", bench.root, "build", "--progress=plain", "-t", "stopped", directory],
    {
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => {
    text += part;
    // Once: a second one ends it without cleaning up.
    if (/\d up\n/.test(part)) child.kill("SIGINT");
  });
  const [code] = await once(child, "close");
  assert.equal(code, 130);
  assert.match(text, /Note: Stopped by SIGINT, cleaning up\n/);
  assert.match(text, /#1 CANCELED\n/);
  assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
  assert.notEqual((await bench.run(["inspect", "stopped"])).code, 0);
});

test("an archive that cannot be written is an error, and nothing is left of it", async () => {
  const directory = join(bench.directory, "outputs");
  mkdirSync(join(directory, "taken"), { recursive: true });
  const args = ["-o", `type=oci,dest=${join(directory, "taken")}`];
  const { code, stderr } = await bench.build("FROM scratch\nLABEL a=b\n", { args });
  assert.notEqual(code, 0);
  assert.notEqual(stderr, "");
  assert.deepEqual(readdirSync(directory), ["taken"]);
  assert.ok(statSync(join(directory, "taken")).isDirectory());
});
