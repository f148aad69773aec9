import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { makeAgentPool } from "./agent-pool.ts";
import { type CgroupMoves, makeCgroupMoves } from "./cgroup-moves.ts";
import { prepareCgroups } from "./cgroup-view.ts";
import { makeCompiledSeccomp } from "./compiled-seccomp.ts";
import { type HeldContainer, type HoldOptions, startContainer } from "./hold-container.ts";
import type { ContainerRequest, HolderOptions, HolderReply, HolderRequest } from "./holder-protocol.ts";
import { type LoopbackPool, makeLoopbackPool } from "./loopback-pool.ts";
import { makeLowerMounts, probeErofs } from "./lower-mounts.ts";
import { mountTmpfs } from "./mount.ts";
import { type LentNetwork, makeNetworkPool, type NetworkPool } from "./network-pool.ts";
import { readCapabilities } from "./read-capabilities.ts";
import { makeRuntimeLauncher } from "./runtime-launcher.ts";
import { sealRuntime } from "./seal-runtime.ts";
import { makeStubDirectories } from "./stub-directories.ts";

/**
 * The holder's whole life: prepares its namespaces, serves requests, ends with its channel. It is pid 1 of its pid
 * namespace, so its end is the end of everything in there.
 */
export function serveHolder(options: HolderOptions): void {
  const { memoryDirectory, pastaPath, runtime } = options;
  process.on("disconnect", () => process.exit(0));
  // As pid 1 of the namespace it outlives an interrupt that a command on the same terminal answers.
  for (const signal of ["SIGINT", "SIGQUIT", "SIGHUP"] as const) process.on(signal, () => {});

  const erofs = probeErofs(`${memoryDirectory}-probe`);
  // What is left of it goes with the directory above.
  erofs.whenGone.catch(() => {});
  // Only its own namespace sees it.
  mountTmpfs(memoryDirectory, "mode=0700");
  const cgroupVersion = prepareCgroups(memoryDirectory, runtime.name);
  const cgroupMoves = makeCgroupMoves(cgroupVersion);
  const linkDirectory = join(memoryDirectory, "l");
  mkdirSync(linkDirectory);
  const lowers = makeLowerMounts(join(memoryDirectory, "m"));
  const stateDirectory = join(memoryDirectory, "runtime");
  const compiledSeccomp =
    runtime.name === "crun" ? makeCompiledSeccomp(stateDirectory, memoryDirectory) : undefined;
  const launcher = makeRuntimeLauncher({
    runtime: sealRuntime(runtime),
    cgroupVersion,
    stateDirectory,
    bundlesDirectory: memoryDirectory,
  });
  const stubDirectories = makeStubDirectories(join(memoryDirectory, "s"));
  const agents = makeAgentPool(memoryDirectory);
  const networks = pastaPath === undefined ? undefined : makeNetworkPool(pastaPath, memoryDirectory);
  if (options.preparesNetwork) networks?.prepare();
  const loopbacks = makeLoopbackPool(memoryDirectory);

  const held = new Map<string, AbortController>();
  process.on("message", async (request: HolderRequest) => {
    if (request.kind === "kill") {
      held.get(request.id)?.abort();
      return;
    }
    const { id } = request;
    const kill = new AbortController();
    held.set(id, kill);
    try {
      await holdContainer(request, {
        hold: {
          linkDirectory,
          lowers,
          stubDirectories,
          cgroupVersion,
          agents,
          launcher,
          compiledSeccomp,
          send,
        },
        networks,
        loopbacks,
        cgroupMoves,
        signal: kill.signal,
      });
    } catch (error) {
      send({ kind: "failed", id, message: (error as Error).message });
    } finally {
      held.delete(id);
    }
  });
  send({ kind: "ready", cgroups: cgroupVersion, hasErofs: erofs.works, capabilities: readCapabilities() });
}

/** Tells the end as soon as no process is left: what is mounted goes while slipway reads what changed. */
async function holdContainer(
  request: ContainerRequest,
  options: {
    readonly hold: HoldOptions;
    readonly networks?: NetworkPool;
    readonly loopbacks: LoopbackPool;
    readonly cgroupMoves: CgroupMoves;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { hold, cgroupMoves, signal } = options;
  cgroupMoves.begin();
  const network = await lendNetwork(request, options);
  let container: HeldContainer | undefined;
  try {
    signal.throwIfAborted();
    container = await startContainer(request, { ...hold, networkPath: network?.path });
    if (signal.aborted) container.kill();
    signal.addEventListener("abort", () => container!.kill(), { once: true });
    const isOffline = request.network === "pasta" && network === undefined;
    hold.send({ kind: "exit", id: request.id, ...(await container.exit), ...(isOffline && { isOffline }) });
  } finally {
    // What a command may have made of its network is not for the next one.
    if (!mayAdministerNetwork(request)) network?.giveBack();
    await container?.unmount();
  }
}

async function lendNetwork(
  request: ContainerRequest,
  { networks, loopbacks }: { readonly networks?: NetworkPool; readonly loopbacks: LoopbackPool },
): Promise<LentNetwork | undefined> {
  if (request.network === "pasta") return networks!.lend();
  return request.network === "none" && !mayAdministerNetwork(request) ? loopbacks.lend() : undefined;
}

function mayAdministerNetwork({ runtimeConfig }: ContainerRequest): boolean {
  return runtimeConfig.process.capabilities.bounding.includes("CAP_NET_ADMIN");
}

function send(reply: HolderReply, whenSent?: () => void): void {
  if (process.connected) process.send!(reply, undefined, undefined, () => whenSent?.());
}
