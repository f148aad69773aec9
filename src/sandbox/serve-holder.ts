import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import type { ContainerRequest, HolderReply, HolderRequest, RuntimeConfig } from "./holder-protocol.ts";
import { mountOverlay, mountTmpfs, unmount } from "./mount.ts";

/** Where the holder keeps what must never reach a disk: it mounts a tmpfs there, which only its namespace sees. */
const MEMORY_DIRECTORY = process.argv[2]!;

/**
 * The holder's whole life: prepares its namespaces, serves requests, ends with its channel. It is pid 1 of its pid
 * namespace, so its end is the end of everything in there.
 */
export function serveHolder(): void {
  const running = new Map<string, ChildProcess | undefined>();
  process.on("disconnect", () => process.exit(0));
  // As pid 1 of the namespace it outlives an interrupt that a command on the same terminal answers.
  for (const signal of ["SIGINT", "SIGQUIT", "SIGHUP"] as const) process.on(signal, () => {});

  mountTmpfs(MEMORY_DIRECTORY, "mode=0700");
  // crun 1.8 refuses hosts that have cgroup v1 and v2 side by side; an empty directory it accepts.
  if (existsSync("/sys/fs/cgroup/unified")) mountTmpfs("/sys/fs/cgroup", "mode=0755");

  process.on("message", (request: HolderRequest) => {
    if (request.kind === "kill") {
      killTree(request.id, running.get(request.id));
      return;
    }
    try {
      startContainer(request, running);
    } catch (error) {
      running.delete(request.id);
      send({ kind: "failed", id: request.id, message: (error as Error).message });
    }
  });
  send({ kind: "ready" });
}

function startContainer(request: ContainerRequest, running: Map<string, ChildProcess | undefined>): void {
  const { id, runtime } = request;
  const rootDirectory = join(request.directory, "rootfs");
  const memoryDirectory = join(MEMORY_DIRECTORY, id);
  const logPath = join(memoryDirectory, "runtime.log");
  mkdirSync(memoryDirectory, { mode: 0o700 });
  mkdirSync(rootDirectory);
  writeMemoryFiles(request, join(memoryDirectory, "files"));
  mountOverlay({ ...request, target: rootDirectory });
  const mounted = [rootDirectory, ...mountTrees(request)];
  writeFileSync(
    join(memoryDirectory, "config.json"),
    JSON.stringify(resolveSources(request, { memory: join(memoryDirectory, "files"), root: rootDirectory })),
    { mode: 0o600 },
  );
  const child = spawn(
    runtime.path,
    [
      ...(runtime.name === "crun" ? ["--cgroup-manager=disabled"] : []),
      "--root",
      join(MEMORY_DIRECTORY, "runtime"),
      "--log",
      logPath,
      "run",
      "--bundle",
      memoryDirectory,
      "--pid-file",
      pidPath(id),
      id,
    ],
    { stdio: request.stdio === "inherit" ? "inherit" : ["ignore", "pipe", "pipe"] },
  );
  running.set(id, child);
  for (const stream of ["stdout", "stderr"] as const) forwardOutput(id, stream, child[stream]);
  const finish = (reply: HolderReply): void => {
    if (!running.delete(id)) return;
    try {
      for (const path of mounted) unmount(path);
      rmSync(memoryDirectory, { recursive: true, force: true });
    } finally {
      send(reply);
    }
  };
  child.on("error", (error) => finish({ kind: "failed", id, message: error.message }));
  child.on("close", (code, signal) => {
    const exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
    const runtimeMessage = exitCode === 0 ? undefined : readRuntimeLog(logPath);
    finish({ kind: "exit", id, exitCode, ...(runtimeMessage && { runtimeMessage }) });
  });
}

/** Output that nobody takes stops the command, not the memory: the next read waits until this one is sent. */
function forwardOutput(id: string, stream: "stdout" | "stderr", pipe: NodeJS.ReadableStream | null): void {
  pipe?.on("data", (data: Uint8Array) => {
    pipe.pause();
    send({ kind: "output", id, stream, data }, () => pipe.resume());
  });
}

/** Killing pid 1 of the container's pid namespace ends all its processes; before there is one, the runtime itself goes. */
function killTree(id: string, child: ChildProcess | undefined): void {
  if (child === undefined) return;
  try {
    process.kill(Number(readFileSync(pidPath(id), "utf8")), "SIGKILL");
  } catch {
    child.kill("SIGKILL");
  }
}

function pidPath(id: string): string {
  return join(MEMORY_DIRECTORY, id, "pid");
}

function writeMemoryFiles(request: ContainerRequest, directory: string): void {
  mkdirSync(directory, { mode: 0o700 });
  for (const { name, content, mode, uid, gid } of request.memoryFiles) {
    const path = join(directory, name);
    const file = openSync(path, "wx", 0o600);
    writeFileSync(file, content);
    closeSync(file);
    chownSync(path, uid, gid);
    chmodSync(path, mode);
  }
}

/** Each tree is an overlay of its own, with an upper directory that goes with the run. */
function mountTrees({ directory, trees }: ContainerRequest): string[] {
  return trees.map(({ name, lowerDirectories }) => {
    const own = join(directory, treeDirectory(name));
    const [target, upperDirectory, workDirectory] = ["root", "upper", "work"].map((part) =>
      join(own, part),
    ) as [string, string, string];
    for (const path of [own, target, upperDirectory, workDirectory]) mkdirSync(path, { mode: 0o755 });
    mountOverlay({ target, lowerDirectories, upperDirectory, workDirectory });
    return target;
  });
}

function resolveSources(
  { directory, runtimeConfig: config }: ContainerRequest,
  paths: { readonly memory: string; readonly root: string },
): RuntimeConfig {
  const resolveSource = (source: string): string => {
    const [, scheme, name = "", path = ""] = /^(memory|tree):([^/]+)(.*)$/s.exec(source) ?? [];
    if (scheme === "memory") return join(paths.memory, name);
    if (scheme === "tree") return join(directory, treeDirectory(name), "root", path);
    return source;
  };
  return {
    ...config,
    root: { ...config.root, path: paths.root },
    mounts: config.mounts.map((mount) => ({ ...mount, source: resolveSource(mount.source) })),
  };
}

function treeDirectory(name: string): string {
  return `tree-${name}`;
}

/** crun logs plain lines, runc logfmt; the last error is the cause. */
function readRuntimeLog(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.includes("level=warning"));
  const line = lines.at(-1);
  const quoted = line?.match(/msg="((?:[^"\\]|\\.)*)"/)?.[1];
  return quoted === undefined ? line : quoted.replaceAll('\\"', '"');
}

function send(reply: HolderReply, whenSent?: () => void): void {
  if (process.connected) process.send!(reply, undefined, undefined, () => whenSent?.());
}
