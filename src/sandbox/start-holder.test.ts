import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { processesWith } from "../../test/run/processes.ts";
import { containerSecurity } from "./container-security.ts";
import { findRuntime } from "./find-runtime.ts";
import { makeRuntimeConfig } from "./runtime-config.ts";
import { type Holder, startHolder } from "./start-holder.ts";

const missing = whatIsMissing();

/** `SLIPWAY_SHORT_COMMANDS=200 npm test -- src/sandbox/start-holder.test.ts` for more. */
const SHORT_COMMANDS = Number(process.env.SLIPWAY_SHORT_COMMANDS ?? 24);

describe("a holder", { skip: missing }, () => {
  let directory: string;
  let lower: string;
  let count = 0;
  const runtime = findRuntime(process.env.PATH ?? "", { name: process.env.SLIPWAY_RUNTIME });

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "slipway-holder-"));
    lower = join(directory, "lower");
    for (const path of ["bin", "proc", "dev", "sys", "tmp", "mnt"])
      mkdirSync(join(lower, path), { recursive: true });
    copyFileSync("/bin/busybox", join(lower, "bin/busybox"));
    for (const name of ["sh", "cat", "sleep", "rm", "touch"])
      symlinkSync("busybox", join(lower, "bin", name));
    for (const path of ["memory", "shared"]) mkdirSync(join(directory, path));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  async function runCommand(
    holder: Holder,
    script: string,
    options: { readonly signal?: AbortSignal; readonly secret?: string } = {},
  ) {
    const run = join(directory, `run-${count++}`);
    for (const path of [run, join(run, "upper"), join(run, "work")]) mkdirSync(path);
    const output = { stdout: "", stderr: "" };
    const exit = await holder.run(
      {
        id: `run-${count}`,
        directory: run,
        lowerDirectories: [lower],
        stubs: [],
        upperDirectory: join(run, "upper"),
        workDirectory: join(run, "work"),
        trees: [],
        memoryFiles: [
          { name: "secret", content: Buffer.from(options.secret ?? ""), mode: 0o400, uid: 0, gid: 0 },
        ],
        runtimeConfig: makeRuntimeConfig({
          args: ["/bin/sh", "-c", script],
          env: ["PATH=/bin"],
          workingDirectory: "/",
          user: { uid: 0, gid: 0, additionalGids: [0], home: "/root" },
          hostname: "sandbox",
          network: "none",
          ulimits: [],
          terminal: false,
          security: containerSecurity({
            hasDeviceRules: holder.cgroups !== "none",
            machineCapabilities: holder.capabilities,
          }),
          cgroups: holder.cgroups,
          mounts: [
            { destination: "/tmp/secret", type: "bind", source: "memory:secret", options: ["bind", "ro"] },
            { destination: "/mnt", type: "bind", source: join(directory, "shared"), options: ["bind"] },
          ],
        }),
        cgroupPath: holder.cgroupPath(`run-${count}`),
        hasDevices: holder.cgroups !== "none",
        network: "none",
        stdio: "pipe",
      },
      {
        signal: options.signal,
        onOutput(stream, data) {
          output[stream] += Buffer.from(data).toString();
        },
      },
    );
    return { exit, output, upper: join(run, "upper"), rootfs: join(run, "rootfs") };
  }

  const start = () => startHolder({ memoryDirectory: join(directory, "memory"), runtime });

  it("runs a command, gives its output and exit code, and keeps its changes in the upper directory", async () => {
    await using holder = await start();
    const { exit, output, upper } = await runCommand(
      holder,
      "echo out; echo err >&2; touch /new; rm /bin/touch; exit 7",
    );
    assert.deepEqual(exit, { kind: "exit", id: "run-1", exitCode: 7 });
    assert.deepEqual(output, { stdout: "out\n", stderr: "err\n" });
    assert.equal(readFileSync(join(upper, "new"), "utf8"), "");
    const whiteout = lstatSync(join(upper, "bin/touch"));
    assert.ok(whiteout.isCharacterDevice() && whiteout.rdev === 0);
  });

  it("gives memory files that reach no disk", async () => {
    await using holder = await start();
    const { output } = await runCommand(holder, "cat /tmp/secret", { secret: "hush-4711" });
    assert.equal(output.stdout, "hush-4711");
    const grep = execFileSync("sh", ["-c", `grep -r hush-4711 ${directory} || true`], { encoding: "utf8" });
    assert.equal(grep, "");
  });

  it("says that the command does not exist, and stays usable", async () => {
    await using holder = await start();
    const { exit } = await runCommand(holder, "exec /nowhere");
    assert.equal(exit.exitCode, 127);
    assert.equal((await runCommand(holder, "true")).exit.exitCode, 0);
  });

  it("runs several commands at once", async () => {
    await using holder = await start();
    const numbers = [1, 2, 3, 4];
    const allAreThere = numbers.map((number) => `[ -e /mnt/${number} ]`).join(" && ");
    const waitForAll = `for i in $(cat /mnt/turns); do ${allAreThere} && exec echo met; sleep 0.1; done; exit 1`;
    writeFileSync(join(directory, "shared/turns"), "turn ".repeat(1_000));
    const results = await Promise.all(
      numbers.map((number) => runCommand(holder, `touch /mnt/${number}; ${waitForAll}`)),
    );
    assert.deepEqual(
      results.map(({ output }) => output.stdout),
      numbers.map(() => "met\n"),
    );
  });

  it("loses no output of commands that end at once", async () => {
    await using holder = await start();
    for (let round = 0; round < SHORT_COMMANDS / 4; round++) {
      const results = await Promise.all(
        [1, 2, 3, 4].map(() => runCommand(holder, "echo out; echo err >&2; printf last")),
      );
      for (const { output } of results) assert.deepEqual(output, { stdout: "out\nlast", stderr: "err\n" });
    }
  });

  it("kills the whole tree of a run that is aborted", async () => {
    await using holder = await start();
    const abort = new AbortController();
    const running = runCommand(holder, "sleep 4711 & sleep 4711; true", { signal: abort.signal });
    await until(() => processesWith("sleep 4711").length >= 2);
    abort.abort(new Error("enough"));
    await assert.rejects(running, { message: "enough" });
    assert.deepEqual(processesWith("sleep 4711"), []);
  });

  it("takes everything away when slipway is killed", async () => {
    const script = `
      import { startHolder } from ${JSON.stringify(import.meta.resolve("./start-holder.ts"))};
      import { makeRuntimeConfig } from ${JSON.stringify(import.meta.resolve("./runtime-config.ts"))};
      import { containerSecurity } from ${JSON.stringify(import.meta.resolve("./container-security.ts"))};
      import { mkdirSync } from "node:fs";
      const directory = ${JSON.stringify(directory)};
      const holder = await startHolder({ memoryDirectory: directory + "/memory", runtime: ${JSON.stringify(runtime)} });
      const run = directory + "/run";
      for (const path of [run, run + "/upper", run + "/work"]) mkdirSync(path);
      await holder.run({
        id: "doomed", directory: run, lowerDirectories: [${JSON.stringify(lower)}], stubs: [], upperDirectory: run + "/upper",
        workDirectory: run + "/work", memoryFiles: [], trees: [], network: "none", stdio: "pipe",
        cgroupPath: holder.cgroupPath("doomed"), hasDevices: false,
        runtimeConfig: makeRuntimeConfig({
          args: ["/bin/sleep", "4712"], env: [], workingDirectory: "/", hostname: "x", network: "none", ulimits: [], terminal: false,
          user: { uid: 0, gid: 0, additionalGids: [], home: "/" }, mounts: [], security: containerSecurity({ hasDeviceRules: holder.cgroups !== "none", machineCapabilities: holder.capabilities }), cgroups: holder.cgroups,
        }),
      });`;
    const { spawn } = await import("node:child_process");
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" });
    await until(() => processesWith("sleep 4712").length === 1);
    child.kill("SIGKILL");
    await until(() => processesWith("sleep 4712").length === 0);
    await until(() => processesWith(join(directory, "memory")).length === 0);
    assert.ok(!readFileSync("/proc/self/mounts", "utf8").includes(directory));
    assert.deepEqual(readdirSync(join(directory, "memory")), []);
  });
});

async function until(isTrue: () => boolean): Promise<void> {
  for (let round = 0; round < 300; round++) {
    if (isTrue()) return;
    await sleep(20);
  }
  assert.fail("it never became true");
}

function whatIsMissing(): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  if (!existsSync("/bin/busybox")) return "needs busybox-static";
  try {
    findRuntime(process.env.PATH ?? "");
    return false;
  } catch {
    return "needs crun or runc";
  }
}
