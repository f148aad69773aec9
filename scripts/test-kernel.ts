/**
 * `node scripts/test-kernel.ts [--layout=systemd|container] [--runtime=crun|runc] [TEST FILE ...]`: runs tests of RUN on what this
 * machine may not have: an older kernel (6.1), cgroup v2 alone, no way out of the machine. The kernel is Debian's user-mode-linux, an
 * ordinary program that needs no virtualisation; its root file system is this machine's own. amd64 only, as root; minutes.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { installPackages } from "./install-packages.ts";

const MEMORY = "2G";
const DISK_BYTES = 6 * 2 ** 30;
const TESTS = ["test/run/limits.test.ts"];
/** What of the checkout the tests need. */
const PARTS = ["bin", "dist", "node_modules", "package.json", "scripts", "src", "test"];

const { values, positionals } = parseArgs({
  options: {
    layout: { type: "string", default: "systemd" },
    runtime: { type: "string", default: "crun" },
  },
  allowPositionals: true,
});
const repository = resolve(import.meta.dirname, "..");
installPackages(["user-mode-linux", "busybox-static", "e2fsprogs", "crun", "runc", "iproute2"]);
mkdirSync(join(repository, ".cache"), { recursive: true });
const directory = mkdtempSync(join(repository, ".cache/kernel-"));
try {
  const status = await runMachine(makeDisk());
  if (status !== 0) process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}

/** A file system with a copy of the checkout, which may change meanwhile. Without `.git` nothing is bundled again. */
function makeDisk(): string {
  const content = join(directory, "content");
  for (const part of PARTS) {
    const to = join(content, "checkout", part);
    cpSync(join(repository, part), to, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  }
  const path = join(directory, "disk");
  writeFileSync(path, "");
  truncateSync(path, DISK_BYTES);
  execFileSync("mkfs.ext4", ["-q", "-F", "-d", content, path]);
  rmSync(content, { recursive: true });
  return path;
}

/** Shows what the tests print; returns their exit code, or undefined when they did not come to an end. */
async function runMachine(disk: string): Promise<number | undefined> {
  const modules = "/usr/lib/uml/modules";
  const environment = {
    modules: join(modules, readdirSync(modules)[0]!, "kernel"),
    layout: values.layout,
    runtime: values.runtime,
    tests: (positionals.length > 0 ? positionals : TESTS).join(","),
  };
  const machine = spawn(
    "linux.uml",
    [
      ...[`mem=${MEMORY}`, `ubd0=${disk}`, "con=null", "con0=null,fd:1", "quiet"],
      ...["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"],
      `init=${join(repository, "scripts/kernel/init.sh")}`,
      // What the kernel does not know becomes the environment of its first process.
      ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const exit = once(machine, "close");
  let status: number | undefined;
  for await (const line of createInterface(machine.stdout)) {
    const [, end] = /^kernel-test: status (\d+)/.exec(line) ?? [];
    if (end === undefined) console.log(line);
    else status = Number(end);
  }
  await exit;
  return status;
}
