/**
 * `node scripts/benchmark-run.ts`: what a RUN costs beyond the OCI runtime itself. Prints, for sixty trivial RUNs each, the time
 * of the runtime alone on the same bundle, from spawn to exit, and that of the whole step in a build.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareCgroups } from "../src/sandbox/cgroup-view.ts";
import { sandboxSecurity } from "../src/sandbox/container-security.ts";
import { findRuntime } from "../src/sandbox/find-runtime.ts";
import { makeRuntimeConfig } from "../src/sandbox/runtime-config.ts";
import { openBuildBench, runMissing } from "../test/build-bench.ts";

const COUNT = 60;
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
    // In namespaces as a build's holder has them.
    const inNamespaces = ["--mount", "--pid", "--fork", "--mount-proc", process.execPath];
    const { stdout, stderr } = spawnSync("unshare", [...inNamespaces, import.meta.filename, directory], {
      encoding: "utf8",
    });
    const aloneMs = Number(stdout);
    if (!(aloneMs > 0)) throw new Error(`the runtime does not run:\n${stdout}${stderr}`);
    const one = await timeBuild(1);
    const stepMs = ((await timeBuild(COUNT + 1)) - one) / COUNT;
    console.log(`${runtime.name} alone: ${aloneMs.toFixed(1)} ms`);
    console.log(`a RUN: ${stepMs.toFixed(1)} ms, ${(stepMs - aloneMs).toFixed(1)} ms more`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
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
    mounts: [],
    security: sandboxSecurity(process.arch, cgroups !== "none"),
    cgroups,
  });
  const linux = { ...config.linux, cgroupsPath: "/slipway-benchmark" };
  writeFileSync(join(directory, "config.json"), JSON.stringify({ ...config, linux }));
  let totalMs = 0;
  for (let number = 0; number < COUNT; number++) {
    const before = performance.now();
    const { status, stderr } = spawnSync(
      runtime.path,
      ["--root", join(scratch, "state"), "run", "--bundle", directory, "benchmark"],
      { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
    );
    if (status !== 0) throw new Error(stderr);
    totalMs += performance.now() - before;
  }
  console.log(totalMs / COUNT);
}
