/**
 * `npm run bench:run`: what a RUN costs beyond the OCI runtime itself. Prints, for sixty trivial RUNs each, the time of the
 * runtime alone on the same bundle, from spawn to exit, and that of the whole step in a build: medians of rounds that take
 * turns, for other work on the machine slows both.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "../bench/median.ts";
import { prepareCgroups } from "../src/sandbox/cgroup-view.ts";
import { makeCompiledSeccomp } from "../src/sandbox/compiled-seccomp.ts";
import { containerSecurity } from "../src/sandbox/container-security.ts";
import { formatConfig } from "../src/sandbox/fill-config.ts";
import { findRuntime } from "../src/sandbox/find-runtime.ts";
import { makeRuntimeConfig } from "../src/sandbox/runtime-config.ts";
import { openBuildBench, runMissing } from "../test/build-bench.ts";

const COUNT = 60;
const ROUNDS = 5;
/** What a RUN may cost beyond the runtime, in milliseconds. */
const LIMIT_MS = 12;
const runtime = findRuntime(process.env.PATH ?? "", { name: process.env.SLIPWAY_RUNTIME });

if (runMissing !== false) throw new Error(`the benchmark ${runMissing}`);
const [bundle] = process.argv.slice(2);
if (bundle !== undefined) await runRuntimeAlone(bundle);
else await compare();

async function compare(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "slipway-benchmark-"));
  using bench = await openBuildBench();
  try {
    cpSync(join(bench.directory, "busybox"), join(directory, "rootfs"), {
      recursive: true,
      verbatimSymlinks: true,
    });
    for (const name of ["proc", "dev", "sys"]) mkdirSync(join(directory, "rootfs", name));
    for (const name of ["hosts", "resolv.conf"]) {
      writeFileSync(join(directory, "rootfs/etc", name), "");
      writeFileSync(join(directory, name), "");
    }
    const rounds: { readonly alone: number; readonly step: number }[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const alone = timeAlone(directory);
      const one = await timeBuild(1);
      rounds.push({ alone, step: ((await timeBuild(COUNT + 1)) - one) / COUNT });
    }
    const more = median(rounds.map(({ alone, step }) => step - alone));
    console.log(`${runtime.name} alone: ${median(rounds.map(({ alone }) => alone)).toFixed(1)} ms`);
    console.log(`a RUN: ${median(rounds.map(({ step }) => step)).toFixed(1)} ms`);
    console.log(`more: ${more.toFixed(1)} ms (at most ${LIMIT_MS})`);
    if (more > LIMIT_MS) process.exitCode = 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }

  /** In namespaces as a build's holder has them. */
  function timeAlone(bundle: string): number {
    const inNamespaces = ["--mount", "--pid", "--fork", "--mount-proc", process.execPath];
    const { stdout, stderr } = spawnSync("unshare", [...inNamespaces, import.meta.filename, bundle], {
      encoding: "utf8",
    });
    const ms = Number(stdout);
    if (!(ms > 0)) throw new Error(`the runtime does not run:\n${stdout}${stderr}`);
    return ms;
  }

  async function timeBuild(count: number): Promise<number> {
    const instructions = Array.from({ length: count }, (_, number) => `RUN --network=none true ${number}`);
    const before = performance.now();
    const { code, stderr } = await bench.build(["FROM busybox", ...instructions].join("\n"), {
      args: ["--no-cache"],
    });
    if (code !== 0) throw new Error(stderr);
    return performance.now() - before;
  }
}

/** Prints the mean time of one container in milliseconds. */
async function runRuntimeAlone(directory: string): Promise<void> {
  const scratch = join(directory, "scratch");
  mkdirSync(scratch);
  const state = join(scratch, "state");
  mkdirSync(state);
  const cgroups = prepareCgroups(scratch, runtime.name);
  const config = makeRuntimeConfig({
    args: ["/bin/sh", "-c", "true"],
    env: ["PATH=/bin"],
    workingDirectory: "/",
    user: { uid: 0, gid: 0, additionalGids: [0], home: "/root" },
    hostname: "benchmark",
    network: "none",
    ulimits: [],
    terminal: false,
    mounts: ["hosts", "resolv.conf"].map((name) => ({
      destination: `/etc/${name}`,
      type: "bind",
      source: join(directory, name),
      options: ["bind", "rw", "nosuid", "nodev", "noexec"],
    })),
    security: containerSecurity({ hasDeviceRules: cgroups !== "none", machineCapabilities: [] }),
    cgroups,
  });
  const linux = { ...config.linux, cgroupsPath: "/slipway-benchmark" };
  const compiled = runtime.name === "crun" ? makeCompiledSeccomp(state, scratch) : undefined;
  let totalMs = 0;
  // The first one is not counted: it is the one whose profile is compiled.
  for (let number = 0; number <= COUNT; number++) {
    const bundled = { ...config, linux };
    const text = formatConfig(compiled?.addTo(bundled, "benchmark") ?? bundled);
    writeFileSync(join(directory, "config.json"), text);
    const before = performance.now();
    const { status, stderr } = spawnSync(
      runtime.path,
      ["--root", state, "run", "--bundle", directory, "benchmark"],
      { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
    );
    if (status !== 0) throw new Error(stderr);
    if (number > 0) totalMs += performance.now() - before;
  }
  rmSync(scratch, { recursive: true });
  console.log(totalMs / COUNT);
}
