import { existsSync } from "node:fs";
import { type HeldContainer, startContainer } from "./hold-container.ts";
import type { ContainerRequest, HolderReply, HolderRequest } from "./holder-protocol.ts";
import { mountTmpfs } from "./mount.ts";
import { makeNetworkPool, type NetworkPool } from "./network-pool.ts";

/**
 * The holder's whole life: prepares its namespaces, serves requests, ends with its channel. It is pid 1 of its pid
 * namespace, so its end is the end of everything in there.
 *
 * `memoryDirectory` is where it keeps what must never reach a disk: it mounts a tmpfs there, which only its namespace sees.
 */
export function serveHolder(memoryDirectory: string, pastaPath: string | undefined): void {
  process.on("disconnect", () => process.exit(0));
  // As pid 1 of the namespace it outlives an interrupt that a command on the same terminal answers.
  for (const signal of ["SIGINT", "SIGQUIT", "SIGHUP"] as const) process.on(signal, () => {});

  mountTmpfs(memoryDirectory, "mode=0700");
  // crun 1.8 refuses hosts that have cgroup v1 and v2 side by side; an empty directory it accepts.
  if (existsSync("/sys/fs/cgroup/unified")) mountTmpfs("/sys/fs/cgroup", "mode=0755");
  const networks = pastaPath === undefined ? undefined : makeNetworkPool(pastaPath, memoryDirectory);

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
      const exit = await holdContainer(request, { memoryDirectory, networks, signal: kill.signal });
      send({ kind: "exit", id, ...exit });
    } catch (error) {
      send({ kind: "failed", id, message: (error as Error).message });
    } finally {
      held.delete(id);
    }
  });
  send({ kind: "ready" });
}

async function holdContainer(
  request: ContainerRequest,
  options: {
    readonly memoryDirectory: string;
    readonly networks?: NetworkPool;
    readonly signal: AbortSignal;
  },
) {
  const { memoryDirectory, networks, signal } = options;
  const network = request.network === "pasta" ? await networks!.lend() : undefined;
  let container: HeldContainer | undefined;
  try {
    signal.throwIfAborted();
    container = startContainer(request, { memoryDirectory, networkPath: network?.path, send });
    signal.addEventListener("abort", () => container!.kill(), { once: true });
    return await container.exit;
  } finally {
    container?.unmount();
    network?.giveBack();
  }
}

function send(reply: HolderReply, whenSent?: () => void): void {
  if (process.connected) process.send!(reply, undefined, undefined, () => whenSent?.());
}
