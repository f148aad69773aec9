import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { constants } from "node:os";
import { loadLibc } from "../rootfs/libc.ts";
import type { CgroupVersion } from "./cgroup-view.ts";
import type { RuntimeProgram } from "./holder-protocol.ts";

/** An OCI runtime that runs a container. */
export interface RunningRuntime {
  /** With its id the runtime is meant, not the command. */
  readonly child: ChildProcess;
  /** What the command prints; absent where it has the terminal or pipes of slipway itself. */
  readonly output?: { readonly stdout: Socket; readonly stderr: Socket };
  /** The exit code, 128 and the signal's number when a signal ended it; once the command's output has ended, too. */
  readonly exit: Promise<number>;
}

/** The names of a container's files, in a directory named by its id. */
export const BUNDLE_FILES = { log: "runtime.log", pid: "pid" } as const;

export interface RuntimeLauncher {
  /** Starts the runtime on a bundle that is ready. */
  launch(id: string, stdio: "pipe" | "inherit"): RunningRuntime;
}

export interface LauncherOptions {
  readonly runtime: RuntimeProgram;
  readonly cgroupVersion: CgroupVersion;
  /** Where the runtime knows its containers. */
  readonly stateDirectory: string;
  /** Where the bundles are, named by their ids. */
  readonly bundlesDirectory: string;
}

const RUN = `exec "$@" --log "$d/$id/${BUNDLE_FILES.log}" run --bundle "$d/$id" --pid-file "$d/$id/${BUNDLE_FILES.pid}" "$id"`;
const RUN_NOW = `d=$0 id=$1; shift; ${RUN}`;
const RUN_WHEN_TOLD = `d=$0; read -r id && ${RUN} </dev/null`;

/**
 * Forking a process as big as the holder takes milliseconds, for its page tables are copied. So the next runtime is forked while a
 * command runs: a shell, which waits for the container's id and becomes the runtime.
 */
export function makeRuntimeLauncher(options: LauncherOptions): RuntimeLauncher {
  const { runtime, cgroupVersion, stateDirectory, bundlesDirectory } = options;
  const manager = cgroupVersion === "none" ? "disabled" : "cgroupfs";
  const command = [
    ...[runtime.path, ...(runtime.name === "crun" ? [`--cgroup-manager=${manager}`] : [])],
    ...["--root", stateDirectory],
  ];
  // Nothing of the user's environment is meant for the runtime (NOTIFY_SOCKET would be mounted into the container).
  const env = { PATH: process.env.PATH };

  const startWaiting = (): RunningRuntime => {
    const [stdout, stderr] = [openPipe(), openPipe()];
    const child = spawn("/bin/sh", ["-c", RUN_WHEN_TOLD, bundlesDirectory, ...command], {
      stdio: ["pipe", stdout.writeEnd, stderr.writeEnd],
      env,
    });
    for (const { writeEnd } of [stdout, stderr]) closeSync(writeEnd);
    // One that has ended before it was told is seen by its exit.
    child.stdin!.on("error", () => {});
    const output = { stdout: stdout.readEnd, stderr: stderr.readEnd };
    return { child, output, exit: waitForExit(child, Object.values(output)) };
  };

  let waiting: RunningRuntime | undefined;
  const prepare = () => {
    waiting ??= startWaiting();
  };
  setImmediate(prepare);

  return {
    launch(id, stdio) {
      if (stdio === "inherit") {
        const args = ["-c", RUN_NOW, bundlesDirectory, id, ...command];
        const child = spawn("/bin/sh", args, { stdio: "inherit", env });
        return { child, exit: waitForExit(child, []) };
      }
      const isThere = waiting?.child.exitCode === null && waiting.child.signalCode === null;
      const running = isThere ? waiting! : startWaiting();
      waiting = undefined;
      running.child.stdin!.end(`${id}\n`);
      setImmediate(prepare);
      return running;
    },
  };
}

/** A pipe as every program knows it. Node's own are sockets, which cannot be opened again as /dev/stdout or /dev/stderr. */
function openPipe(): { readonly readEnd: Socket; readonly writeEnd: number } {
  const [readEnd, writeEnd] = loadLibc().pipe();
  return { readEnd: new Socket({ fd: readEnd, readable: true, writable: false }), writeEnd };
}

function waitForExit(child: ChildProcess, output: readonly Socket[]): Promise<number> {
  const ended = output.map((pipe) => new Promise((resolve) => pipe.once("close", resolve)));
  const exited = new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
    );
  });
  const exit = Promise.all([exited, ...ended]).then(([code]) => code);
  // Of one that waits for its turn nobody asks.
  exit.catch(() => {});
  return exit;
}
