import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { type BuildBench, openBuildBench, runMissing } from "../build-bench.ts";
import { processesWith } from "../run/processes.ts";
import { slipwayPath } from "../slipway.ts";

const skip = runMissing;
const bench: BuildBench = await openBuildBench();
after(() => bench[Symbol.dispose]());
const run = bench.run;

test("run gives the command's output and exit status", { skip }, async () => {
  const result = await run(["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 42"]);
  assert.deepEqual(result, { code: 42, stdout: "out\n", stderr: "err\n" });
});

test("run has docker's statuses for what cannot be started", { skip }, async () => {
  assert.equal((await run(["run", "busybox", "nosuch"])).code, 127);
  assert.equal((await run(["run", "busybox", "/etc/passwd"])).code, 126);
  const missing = await run(["run", "--pull", "never", "nosuch"]);
  assert.match(missing.stderr, /Error: Cannot find the image "nosuch"/);
  assert.equal(missing.code, 125);
  assert.equal((await run(["run", "-u", "nobodyknows", "busybox", "true"])).code, 125);
  assert.match(
    (await run(["run", "--detach", "busybox"])).stderr,
    /Cannot use --detach: slipway run only starts a command and waits for it\n\nHint: Leave it out/,
  );
});

test("run takes variables, a directory, a user and another entrypoint", { skip }, async () => {
  const args = [
    "-e",
    "A=1",
    "-e",
    "FROM_HERE",
    "-e",
    "NOT_SET",
    "-w",
    "/tmp",
    "-u",
    "nobody",
    "--entrypoint",
    "sh",
  ];
  const { stdout } = await run(
    ["run", ...args, "busybox", "-c", 'echo "$A $FROM_HERE ${NOT_SET-unset} $(pwd) $(id -un)"'],
    { env: { FROM_HERE: "2", NOT_SET: undefined } },
  );
  assert.equal(stdout, "1 2 unset /tmp nobody\n");
});

test("options after the image are the command's", { skip }, async () => {
  assert.equal((await run(["run", "busybox", "echo", "-e", "--rm", "x"])).stdout, "--rm x\n");
});

test("the image's ENTRYPOINT and CMD run, and arguments stand for CMD", { skip }, async () => {
  await bench.build('FROM busybox\nENTRYPOINT ["echo", "a"]\nCMD ["b"]\n', { args: ["-t", "entry"] });
  assert.equal((await run(["run", "entry"])).stdout, "a b\n");
  assert.equal((await run(["run", "entry", "c"])).stdout, "a c\n");
  assert.match((await run(["run", "--entrypoint", "", "entry"])).stderr, /neither the image nor you say/);
});

test("stdin is the command's only with -i", { skip }, async () => {
  assert.equal((await run(["run", "-i", "busybox", "cat"], { input: "text" })).stdout, "text");
  assert.equal((await run(["run", "busybox", "cat"], { input: "text" })).stdout, "");
});

test("a large output arrives whole", { skip }, async () => {
  const { stdout } = await run(["run", "busybox", "sh", "-c", "yes 0123456789 | head -c 5000000"]);
  assert.equal(stdout.length, 5_000_000);
});

test("what a run changes is thrown away", { skip }, async () => {
  await run(["run", "busybox", "sh", "-c", "echo x > /left"]);
  assert.equal((await run(["run", "busybox", "ls", "/left"])).code, 1);
  assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
});

test("--network none has only a loopback", { skip }, async () => {
  const { stdout } = await run(["run", "--network", "none", "busybox", "ls", "/sys/class/net"]);
  assert.equal(stdout, "lo\n");
});

test("-t gives a terminal, and is refused without one", { skip }, async () => {
  assert.match((await run(["run", "-t", "busybox", "true"])).stderr, /stdin is none/);
  // script(1) makes a terminal. Its stdin stays open: at its end script would type an end of file into the terminal.
  const command = `${slipwayPath} --root ${bench.root} run -it busybox sh -c 'tty && echo $TERM'`;
  const script = spawn("script", ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  let text = "";
  script.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await once(script, "close");
  assert.match(text, /\/dev\/pts\/0\r\nxterm\r\n/);
  assert.doesNotMatch(text, /\u001b/);
});

for (const [signal, status] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(`${signal} ends the command and everything that it started`, { skip }, async () => {
    const marker = String(300 + status);
    const child = spawn(
      slipwayPath,
      ["--root", bench.root, "run", "busybox", "sh", "-c", `echo up; sleep ${marker} & wait`],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    await once(child.stdout, "data");
    child.kill(signal);
    const [code] = await once(child, "exit");
    assert.equal(code, status);
    assert.deepEqual(processesWith(`sleep ${marker}`), []);
    assert.deepEqual(readdirSync(join(bench.root, "tmp")), []);
  });
}
