import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { BuildError } from "../errors/build-error.ts";
import { loadLibc } from "../rootfs/libc.ts";
import { openBuildCgroup } from "./build-cgroup.ts";
import { readDisabled } from "./disabled-features.ts";
import type {
  ContainerExit,
  ContainerRequest,
  HolderAbilities,
  HolderOptions,
  HolderReply,
  HolderRequest,
} from "./holder-protocol.ts";

/**
 * The process in whose namespaces all RUNs of a build live. All that a build starts is in its pid namespace and all that it
 * mounts in its mount namespace, so however the build dies, the kernel takes everything away: the holder ends when its
 * channel to slipway closes, and with pid 1 everything else in the namespace.
 */
export interface Holder extends AsyncDisposable, HolderAbilities {
  /** The path for a command's cgroup; what is left of it goes with the holder. */
  cgroupPath(id: string, parent?: string): string;
  /**
   * Runs one container to its end. Aborting kills its tree, and the promise then rejects with the signal's reason once
   * nothing of it is left.
   *
   * @throws BuildError `sandbox` when the container cannot be started.
   */
  run(request: ContainerRequest, options?: RunOptions): Promise<ContainerExit>;
}

export interface RunOptions {
  readonly onOutput?: (stream: "stdout" | "stderr", data: Uint8Array) => void;
  readonly signal?: AbortSignal;
}

interface Pending {
  readonly resolve: (exit: ContainerExit) => void;
  readonly reject: (error: unknown) => void;
  readonly onOutput: RunOptions["onOutput"];
}

/** How much of the holder's own complaints is kept for the error message, in chars. */
const COMPLAINT_LENGTH = 4_000;

/**
 * Starts a holder. `stdio: "inherit"` gives the containers the terminal of this process.
 *
 * @throws BuildError `sandbox` when the machine grants no namespaces, `option-invalid` for a wrong `SLIPWAY_DISABLE`.
 */
export async function startHolder({
  stdio,
  ...options
}: HolderOptions & { readonly stdio?: "pipe" | "inherit" }): Promise<Holder> {
  readDisabled(process.env.SLIPWAY_DISABLE);
  const isInteractive = stdio === "inherit";
  const cgroup = openBuildCgroup();
  const child = spawn(
    "unshare",
    [
      "--mount",
      "--pid",
      "--fork",
      "--kill-child",
      "--mount-proc",
      process.execPath,
      holderPath(),
      JSON.stringify(options),
    ],
    {
      stdio: isInteractive ? ["inherit", "inherit", "inherit", "ipc"] : ["ignore", "ignore", "pipe", "ipc"],
      serialization: "advanced",
      // A Ctrl-C on the terminal is slipway's to handle; an interactive command gets it itself.
      detached: !isInteractive,
    },
  );
  // While the child starts: what a command wrote is looked at with it, and to load it takes 20 ms.
  loadLibc();
  const pending = new Map<string, Pending>();
  let complaint = "";
  let isReady = false;
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-COMPLAINT_LENGTH);
  });

  const ready = Promise.withResolvers<HolderAbilities>();
  child.on("message", (reply: HolderReply) => {
    if (reply.kind === "ready") {
      isReady = true;
      ready.resolve(reply);
      return;
    }
    const waiter = pending.get(reply.id);
    if (waiter === undefined) return;
    if (reply.kind === "output") {
      waiter.onOutput?.(reply.stream, reply.data);
      return;
    }
    pending.delete(reply.id);
    if (reply.kind === "exit") waiter.resolve(reply);
    else waiter.reject(new BuildError("sandbox", `Cannot start the command: ${reply.message}`));
  });
  const fail = (reason: string, cause?: unknown): void => {
    const error = isReady
      ? new BuildError("sandbox", `The process that holds the build's namespaces ended: ${reason}`, { cause })
      : new BuildError("sandbox", `Cannot make the namespaces that RUN needs: ${reason}`, {
          hint: "RUN needs root, and a machine or container that allows mount and pid namespaces",
          cause,
        });
    ready.reject(error);
    for (const waiter of pending.values()) waiter.reject(error);
    pending.clear();
  };
  child.on("error", (error) => fail(error.message, error));
  child.on("exit", (code, signal) => fail(complaint.trim() || (signal ?? `exit code ${code}`)));
  const { cgroups, capabilities, hasErofs } = await ready.promise;

  return {
    cgroups,
    capabilities,
    hasErofs,
    cgroupPath: (id, parent) => cgroup.pathOf(id, parent),
    run(request, { onOutput, signal } = {}) {
      return new Promise<ContainerExit>((resolve, reject) => {
        signal?.throwIfAborted();
        const kill = () => send(child, { kind: "kill", id: request.id });
        signal?.addEventListener("abort", kill, { once: true });
        const settle = () => signal?.removeEventListener("abort", kill);
        pending.set(request.id, {
          onOutput,
          resolve(exit) {
            settle();
            if (signal?.aborted) reject(signal.reason);
            else resolve(exit);
          },
          reject(error) {
            settle();
            reject(signal?.aborted ? signal.reason : error);
          },
        });
        send(child, { kind: "run", ...request });
      });
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, "exit");
        if (child.connected) child.disconnect();
        await exited;
      }
      cgroup[Symbol.dispose]();
    },
  };
}

function send(child: ChildProcess, request: HolderRequest): void {
  // A channel that has closed is reported by the exit event.
  if (child.connected) child.send(request, () => {});
}

/** The bundle's holder in dist/, or src/holder.ts when this module runs from its source. */
function holderPath(): string {
  const isSource = import.meta.url.endsWith(".ts");
  return new URL(isSource ? "../holder.ts" : "./holder.js", import.meta.url).pathname;
}
