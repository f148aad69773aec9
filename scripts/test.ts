/**
 * `npm test`: installs what the tests use where it is missing (with root and apt), then runs them. Arguments go to
 * `node --test`; those that are files or folders choose the tests: `npm test -- src/oci --test-name-pattern=digest`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { installPackages } from "./install-packages.ts";
import { basePackages, makeBaseTars } from "./make-base-images.ts";

const PACKAGES = [
  ...basePackages,
  // RUN
  "crun",
  "runc",
  "passt",
  // Another machine, as far as the network goes.
  "iproute2",
  // ssh mounts with keys
  "openssh-client",
  "openssh-server",
  // Registry, and other programs that have to understand what slipway makes.
  "docker-registry",
  "docker.io",
  "skopeo",
  "umoci",
  "buildah",
  // RUN for other processors.
  "qemu-user-static",
  "openssl",
  // A small root file system for RUN.
  "busybox-static",
  // Shells that have completions.
  "fish",
  "zsh",
  // What a build opens.
  "strace",
  // Other hands that make and read archives and repositories.
  "bzip2",
  "git",
  "zstd",
];

const TESTS = ["src/**/*.test.ts", "test/**/*.test.ts", "examples/**/*.test.ts"];

/** Runners of test data that lie beside the repository; each runs only where `needs` exists, after the tests. */
const EXTRA_RUNS: readonly { readonly needs: string; readonly command: readonly string[] }[] = [
  { needs: "../shared/corpus", command: [process.execPath, "scripts/run-shared.ts"] },
];

const repository = resolve(import.meta.dirname, "..");
process.chdir(repository);
installPackages(PACKAGES);

const args = process.argv.slice(2);
const chosen = args.filter((arg) => !arg.startsWith("-") && existsSync(arg));
const options = args.filter((arg) => !chosen.includes(arg));
const tests = chosen.map((path) => (statSync(path).isDirectory() ? join(path, "**/*.test.ts") : path));

// The examples share one store in a run, and nothing with the run before.
mkdirSync(".cache", { recursive: true });
const store = mkdtempSync(join(repository, ".cache/test-store-"));
// A store that the caller uses is none of the tests' business.
const env: NodeJS.ProcessEnv = { ...process.env, SLIPWAY_EXAMPLES_ROOT: store, SLIPWAY_ROOT: undefined };
try {
  // Before the tests, so that no test's time goes into it.
  if (chosen.length === 0) await makeBaseTars((line) => console.log(`${line} ...`));
  const runner = ["--test", "--test-reporter=spec", "--test-concurrency=2", ...options];
  run([process.execPath, ...runner, ...(tests.length > 0 ? tests : TESTS)]);
  if (args.length === 0) {
    for (const { needs, command } of EXTRA_RUNS) {
      if (existsSync(needs)) run(command);
    }
  }
} finally {
  rmSync(store, { recursive: true, force: true });
}

/** Runs to the end, whatever came before; a failure becomes the exit status. */
function run([program, ...rest]: readonly string[]): void {
  const { status, error } = spawnSync(program!, rest, { env, stdio: "inherit" });
  if (error) console.error(`${program} cannot be run: ${error.message}`);
  if (status !== 0) process.exitCode = 1;
}
