import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { writeFiles } from "../scripts/bases/copy-files.ts";
import { type CommandResult, runSlipway, type SlipwayOptions } from "./slipway.ts";

const BUSYBOX = "/bin/busybox";

/** For `{ skip: runMissing }`: false, or what a test that RUNs something lacks here. */
export const runMissing: string | false =
  process.getuid?.() !== 0
    ? "needs root"
    : (!existsSync(BUSYBOX) && "needs busybox-static") || (!existsSync("/usr/bin/crun") && "needs crun");

/** A store of its own with a small `busybox:latest`, and a place for contexts. */
export interface BuildBench extends Disposable {
  readonly root: string;
  readonly directory: string;
  /** Writes a context: path to text; returns its directory. */
  context(files: Readonly<Record<string, string>>): string;
  /** Runs slipway on the store; a failure is a result. */
  run(args: readonly string[], options?: SlipwayOptions): Promise<CommandResult>;
  /** `build --progress=plain` of a Dockerfile and files. */
  build(dockerfile: string, options?: BenchBuildOptions): Promise<CommandResult>;
}

export interface BenchBuildOptions {
  readonly files?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

export async function openBuildBench(): Promise<BuildBench> {
  const directory = mkdtempSync(join(tmpdir(), "slipway-bench-"));
  const root = join(directory, "store");
  let count = 0;
  const run: BuildBench["run"] = (args, options) => runSlipway(["--root", root, ...args], options);
  const context: BuildBench["context"] = (files) => {
    const path = join(directory, `context-${count++}`);
    mkdirSync(path);
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(path, name)), { recursive: true });
      writeFileSync(join(path, name), text);
    }
    return path;
  };
  const bench: BuildBench = {
    root,
    directory,
    run,
    context,
    build: (dockerfile, { files = {}, args = [] } = {}) =>
      run(["build", "--progress=plain", ...args, context({ ...files, Dockerfile: dockerfile })]),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
  if (existsSync(BUSYBOX)) await importBusybox(bench);
  return bench;
}

async function importBusybox({ directory, run }: BuildBench): Promise<void> {
  const rootDirectory = join(directory, "busybox");
  mkdirSync(join(rootDirectory, "bin"), { recursive: true });
  copyFileSync(BUSYBOX, join(rootDirectory, "bin/busybox"));
  for (const name of execFileSync(BUSYBOX, ["--list"], { encoding: "utf8" }).trim().split("\n")) {
    if (name !== "busybox") symlinkSync("busybox", join(rootDirectory, "bin", name));
  }
  writeFiles(rootDirectory, {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
  });
  mkdirSync(join(rootDirectory, "root"), { mode: 0o700 });
  mkdirSync(join(rootDirectory, "tmp"));
  execFileSync("chmod", ["1777", join(rootDirectory, "tmp")]);
  const tar = join(directory, "busybox.tar");
  execFileSync("tar", [
    "--numeric-owner",
    "--owner=0",
    "--group=0",
    "--sort=name",
    "-C",
    rootDirectory,
    "-cf",
    tar,
    ".",
  ]);
  const result = await run(["import", "--change", 'CMD ["sh"]', tar, "busybox"]);
  if (result.code !== 0) throw new Error(`cannot import busybox:\n${result.stderr}`);
}
