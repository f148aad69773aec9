import type { ChildProcess } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { AgentPool } from "./agent-pool.ts";
import { openAgentSockets } from "./agent-sockets.ts";
import type { CgroupVersion } from "./cgroup-view.ts";
import type { CompiledSeccomp } from "./compiled-seccomp.ts";
import { fillConfig, formatConfig, treeDirectory } from "./fill-config.ts";
import { type HeldCgroup, openCgroup } from "./held-cgroups.ts";
import type { ContainerExit, ContainerRequest, HolderReply } from "./holder-protocol.ts";
import { killOrphans } from "./kill-orphans.ts";
import type { LowerMounts } from "./lower-mounts.ts";
import { mountOverlay, settleUnmounts, unmountAside } from "./mount.ts";
import { BUNDLE_FILES, type Bundle, type RunningRuntime, type RuntimeLauncher } from "./runtime-launcher.ts";
import type { StubDirectories } from "./stub-directories.ts";

/** One container inside the holder. */
export interface HeldContainer {
  readonly exit: Promise<ContainerExit>;
  /** Ends all its processes at once. */
  kill(): void;
  /** Takes its mounts and memory files away, once it has ended. */
  unmount(): Promise<void>;
}

export interface HoldOptions {
  readonly lowers: LowerMounts;
  readonly stubDirectories: StubDirectories;
  /** For `mountOverlay`. */
  readonly linkDirectory: string;
  /** A file that is bound to the network namespace to use. */
  readonly networkPath?: string;
  readonly cgroupVersion: CgroupVersion;
  readonly agents: AgentPool;
  readonly launcher: RuntimeLauncher;
  /** Only for a runtime that takes compiled profiles. */
  readonly compiledSeccomp?: CompiledSeccomp;
  readonly send: (reply: HolderReply, whenSent?: () => void) => void;
}

/** Mounts the container's file systems and starts the OCI runtime. Throws when a mount fails, and then leaves none. */
export async function startContainer(
  request: ContainerRequest,
  options: HoldOptions,
): Promise<HeldContainer> {
  const { launcher } = options;
  const bundle = launcher.take();
  const filesDirectory = join(bundle.directory, "files");
  const mounted: string[] = [];
  const held = new DisposableStack();
  const release = async () => {
    held.dispose();
    // The root comes first. Slipway may have removed the directories of others already, and the mounts with them.
    const [isRootGone = true] = await Promise.all(mounted.splice(0).map(unmountAside));
    if (isRootGone) await rm(bundle.directory, { recursive: true, force: true });
  };
  try {
    mkdirSync(filesDirectory, { mode: 0o700 });
    held.use(await openAgentSockets(request.sockets ?? [], filesDirectory, options.agents));
    writeMemoryFiles(request, filesDirectory);
    const rootDirectory = join(bundle.directory, "rootfs");
    const { linkDirectory, lowers } = options;
    const stubDirectory = options.stubDirectories.open(request.stubs);
    const lowerDirectories = [
      ...(stubDirectory === undefined ? [] : [stubDirectory]),
      ...request.lowerDirectories.map(lowers.open),
    ];
    await settleUnmounts();
    mountAt(rootDirectory, { ...request, lowerDirectories, target: rootDirectory, linkDirectory }, mounted);
    const { resources } = request.runtimeConfig.linux;
    const cgroup = openCgroup(options.cgroupVersion, request.cgroupPath, { resources });
    held.defer(() => cgroup.remove());
    for (const tree of request.trees) mountTree(request, tree, { linkDirectory, lowers, mounted });
    const config = fillConfig(request, {
      filesDirectory,
      rootDirectory,
      networkPath: options.networkPath,
      cgroup,
    });
    const { compiledSeccomp: seccomp = { addTo: (same) => same } } = options;
    const running = launcher.launch(bundle, formatConfig(seccomp.addTo(config, bundle.id)), request.stdio);
    forwardOutput(request.id, running, options.send);
    return {
      exit: waitForExit(running, bundle, cgroup),
      kill: () => killTree(running.child, bundle),
      unmount: release,
    };
  } catch (error) {
    launcher.letGo(bundle);
    await release();
    throw error;
  }
}

async function waitForExit(
  { child, exit }: RunningRuntime,
  bundle: Bundle,
  cgroup: HeldCgroup,
): Promise<ContainerExit> {
  // A runtime that was killed has left the command behind, perhaps before it said which process it is.
  child.on("exit", (_, signal) => signal !== null && killOrphans());
  const exitCode = await exit;
  const runtimeMessage =
    exitCode === 0 ? undefined : readRuntimeLog(join(bundle.directory, BUNDLE_FILES.log));
  const ranOutOfMemory = cgroup.ranOutOfMemory();
  return { exitCode, ...(runtimeMessage && { runtimeMessage }), ...(ranOutOfMemory && { ranOutOfMemory }) };
}

/** Output that nobody takes stops the command, not the memory: the next read waits until this one is sent. */
function forwardOutput(
  id: string,
  { output = {} }: { readonly output?: Partial<NonNullable<RunningRuntime["output"]>> },
  send: HoldOptions["send"],
): void {
  for (const stream of ["stdout", "stderr"] as const) {
    const pipe = output[stream];
    pipe?.on("data", (data: Uint8Array) => {
      pipe.pause();
      send({ kind: "output", id, stream, data }, () => pipe.resume());
    });
  }
}

/** Killing pid 1 of the container's pid namespace ends all its processes; before there is one, the runtime itself goes. */
function killTree(child: ChildProcess, { directory }: Bundle): void {
  try {
    process.kill(Number(readFileSync(join(directory, BUNDLE_FILES.pid), "utf8")), "SIGKILL");
  } catch {
    child.kill("SIGKILL");
  }
}

function writeMemoryFiles({ memoryFiles }: ContainerRequest, filesDirectory: string): void {
  for (const { name, content, mode, uid, gid } of memoryFiles) {
    const path = join(filesDirectory, name);
    writeFileSync(path, content, { flag: "wx", mode: 0o600 });
    chownSync(path, uid, gid);
    chmodSync(path, mode);
  }
}

function mountAt(target: string, overlay: Parameters<typeof mountOverlay>[0], mounted: string[]): void {
  mkdirSync(target);
  mountOverlay(overlay);
  mounted.push(target);
}

/** Each tree is an overlay of its own, with an upper directory that goes with the run. */
function mountTree(
  { directory }: ContainerRequest,
  { name, lowerDirectories }: ContainerRequest["trees"][number],
  {
    linkDirectory,
    lowers,
    mounted,
  }: Pick<HoldOptions, "linkDirectory" | "lowers"> & { readonly mounted: string[] },
): void {
  const own = join(directory, treeDirectory(name));
  const [upperDirectory, workDirectory] = [join(own, "upper"), join(own, "work")];
  for (const path of [own, upperDirectory, workDirectory]) mkdirSync(path, { mode: 0o755 });
  const target = join(own, "root");
  mountAt(
    target,
    {
      target,
      lowerDirectories: lowerDirectories.map(lowers.open),
      upperDirectory,
      workDirectory,
      linkDirectory,
    },
    mounted,
  );
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
