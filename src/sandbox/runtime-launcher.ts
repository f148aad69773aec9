import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { closeSync, constants, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { constants as osConstants } from "node:os";
import { join } from "node:path";
import { loadLibc, S_IFIFO } from "../rootfs/libc.ts";
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

/** Where the runtime finds a container, and what it is told of it. */
export interface Bundle {
  /** The runtime's name for the container, and that of the directory. */
  readonly id: string;
  /** In the holder's memory. */
  readonly directory: string;
}

/** The names of a bundle's files. */
export const BUNDLE_FILES = { log: "runtime.log", pid: "pid" } as const;

export interface RuntimeLauncher {
  /** A new bundle with nothing in it that is the caller's concern. It is to be launched, or to be let go. */
  take(): Bundle;
  /** Starts the runtime with the text of config.json. */
  launch(bundle: Bundle, config: string, stdio: "pipe" | "inherit"): RunningRuntime;
  /** Of a bundle that is not launched. */
  letGo(bundle: Bundle): void;
}

export interface LauncherOptions {
  readonly runtime: RuntimeProgram;
  readonly cgroupVersion: CgroupVersion;
  /** Where the runtime knows its containers. */
  readonly stateDirectory: string;
  /** Where the bundles are. */
  readonly bundlesDirectory: string;
}

/** A runtime that has been started and reads its config.json, a FIFO in which there is nothing yet. */
interface WaitingRuntime extends RunningRuntime {
  /** Both ends. */
  readonly configFd: number;
}

interface PreparedBundle extends Bundle {
  waiting?: WaitingRuntime;
}

/**
 * To fork a process as big as the holder takes milliseconds, for its page tables are copied; so does the start of the runtime, until it reads what
 * to do. So the next one is started while a command runs, and waits there.
 */
export function makeRuntimeLauncher(options: LauncherOptions): RuntimeLauncher {
  const { runtime, cgroupVersion, stateDirectory, bundlesDirectory } = options;
  const manager = cgroupVersion === "none" ? "disabled" : "cgroupfs";
  const globalArgs = [
    ...(runtime.name === "crun" ? [`--cgroup-manager=${manager}`] : []),
    ...["--root", stateDirectory],
  ];
  // Nothing of the user's environment is meant for the runtime (NOTIFY_SOCKET would be mounted into the container).
  const env = { PATH: process.env.PATH };

  const start = ({ id, directory }: Bundle, stdio: StdioOptions) => {
    const log = ["--log", join(directory, BUNDLE_FILES.log)];
    const run = ["run", "--bundle", directory, "--pid-file", join(directory, BUNDLE_FILES.pid), id];
    return spawn(runtime.path, [...globalArgs, ...log, ...run], { stdio, env });
  };
  const startWithPipes = (bundle: Bundle): RunningRuntime => {
    const [stdout, stderr] = [openPipe(), openPipe()];
    const child = start(bundle, ["ignore", stdout.writeEnd, stderr.writeEnd]);
    for (const { writeEnd } of [stdout, stderr]) closeSync(writeEnd);
    const output = { stdout: stdout.readEnd, stderr: stderr.readEnd };
    return { child, output, exit: waitForExit(child, Object.values(output)) };
  };

  let count = 0;
  const makeBundle = (): PreparedBundle => {
    const id = `c${count++}`;
    const directory = join(bundlesDirectory, id);
    mkdirSync(directory, { mode: 0o700 });
    return { id, directory };
  };
  const startWaiting = (bundle: Bundle): WaitingRuntime => {
    const path = configPath(bundle);
    loadLibc().mknod(Buffer.from(path), S_IFIFO | 0o600, { major: 0, minor: 0 });
    // With a writer the runtime's open() returns, and its read() waits.
    const configFd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    return { ...startWithPipes(bundle), configFd };
  };
  let next: PreparedBundle | undefined;
  const prepare = () => {
    if (next !== undefined) return;
    try {
      next = makeBundle();
      next.waiting = startWaiting(next);
    } catch {
      // It is started when it is needed; then somebody is told.
    }
  };
  setImmediate(prepare);

  const stopWaiting = (bundle: PreparedBundle): void => {
    if (bundle.waiting === undefined) return;
    closeSync(bundle.waiting.configFd);
    bundle.waiting.child.kill("SIGKILL");
    bundle.waiting = undefined;
  };
  return {
    take() {
      const bundle = next ?? makeBundle();
      next = undefined;
      return bundle;
    },
    launch(bundle: PreparedBundle, config, stdio) {
      const text = Buffer.from(config);
      writeConfig(bundle, text);
      setImmediate(prepare);
      const { waiting } = bundle;
      if (waiting !== undefined && stdio === "pipe" && tell(waiting, text)) {
        bundle.waiting = undefined;
        closeSync(waiting.configFd);
        return waiting;
      }
      stopWaiting(bundle);
      if (stdio === "pipe") return startWithPipes(bundle);
      const child = start(bundle, "inherit");
      return { child, exit: waitForExit(child, []) };
    },
    letGo: stopWaiting,
  };
}

/** False when it has ended, or when that is more than the FIFO takes, 64 KiB (pipe(7)): then it is of no use. */
function tell({ child, configFd }: WaitingRuntime, config: Uint8Array): boolean {
  if (child.exitCode !== null || child.signalCode !== null) return false;
  return writeSync(configFd, config) === config.length;
}

function configPath({ directory }: Bundle): string {
  return join(directory, "config.json");
}

/** In place of the FIFO, if there is one: crun reads the file twice, the second time from its path. */
function writeConfig(bundle: Bundle, text: Uint8Array): void {
  const path = configPath(bundle);
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
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
      resolve(code ?? 128 + (signal === null ? 0 : osConstants.signals[signal])),
    );
  });
  const exit = Promise.all([exited, ...ended]).then(([code]) => code);
  // Of one that waits for its turn nobody asks.
  exit.catch(() => {});
  return exit;
}
