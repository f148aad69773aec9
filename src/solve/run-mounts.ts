import { statSync } from "node:fs";
import { BuildError } from "../errors/build-error.ts";
import type { RunMount, RunStep } from "../plan/plan.ts";
import type { AgentSocket, MemoryFile } from "../sandbox/holder-protocol.ts";
import type { ContainerOptions } from "../sandbox/run-container.ts";
import { openBindSource } from "./bind-source.ts";
import { type OpenCacheMounts, openCacheMounts } from "./cache-mount.ts";
import type { SolveContext } from "./solve-plan.ts";

/** What a RUN's mounts come to for the sandbox; held until it is disposed. */
export interface RunMounts extends Pick<ContainerOptions, "mounts" | "memoryFiles" | "trees">, Disposable {
  readonly sockets: readonly AgentSocket[];
  /** `NAME=value` of secrets that are asked for as variables, and where the ssh agent is. */
  readonly env: readonly string[];
}

interface Collected {
  readonly mounts: ContainerOptions["mounts"][number][];
  readonly memoryFiles: MemoryFile[];
  readonly trees: ContainerOptions["trees"][number][];
  readonly sockets: AgentSocket[];
  readonly env: string[];
  /** Locks of cache mounts. */
  readonly held: DisposableStack;
}

/** Opens a RUN's `--mount`s and the files of its heredocs. */
export async function openRunMounts(step: RunStep, context: SolveContext): Promise<RunMounts> {
  const collected: Collected = {
    mounts: [],
    memoryFiles: [],
    trees: [],
    sockets: [],
    env: [],
    held: new DisposableStack(),
  };
  try {
    const caches = collected.held.use(await openCacheMounts(step, context));
    for (const mount of step.mounts) await addMount(mount, context, { ...collected, caches });
  } catch (error) {
    collected.held.dispose();
    throw error;
  }
  const agent = step.mounts.find((mount) => mount.type === "ssh");
  // As BuildKit has it, also when there is no agent.
  if (agent !== undefined && !step.env.some((variable) => variable.startsWith("SSH_AUTH_SOCK=")))
    collected.env.push(`SSH_AUTH_SOCK=${agent.target}`);
  for (const { path, content, mode } of step.files ?? []) {
    const file = {
      name: `file-${collected.memoryFiles.length}`,
      content: Buffer.from(content),
      mode,
      uid: 0,
      gid: 0,
    };
    addMemoryFile(collected, file, path);
  }
  return { ...collected, [Symbol.dispose]: () => collected.held.dispose() };
}

async function addMount(
  mount: RunMount,
  context: SolveContext,
  { caches, ...collected }: Collected & { readonly caches: OpenCacheMounts },
): Promise<void> {
  switch (mount.type) {
    case "tmpfs": {
      const size = mount.sizeBytes === undefined ? [] : [`size=${mount.sizeBytes}`];
      const options = ["nosuid", "nodev", "mode=1777", ...size];
      collected.mounts.push({
        kind: "directory",
        destination: mount.target,
        type: "tmpfs",
        source: "tmpfs",
        options,
      });
      return;
    }
    case "bind": {
      const { layers, path, kind } = await openBindSource(mount, context);
      const name = String(collected.trees.length);
      collected.trees.push({ name, layers });
      addBind(collected, {
        kind,
        destination: mount.target,
        source: `tree:${name}${path}`,
        readOnly: !mount.readWrite,
      });
      return;
    }
    case "volume": {
      const { source, target: destination, readOnly } = mount;
      addBind(collected, { kind: volumeKind(source), destination, source, readOnly });
      return;
    }
    case "cache": {
      addBind(collected, {
        kind: "directory",
        destination: mount.target,
        source: caches.directoryOf(mount),
        readOnly: mount.readOnly,
      });
      return;
    }
    case "secret":
      addSecret(mount, context, collected);
      return;
    case "ssh":
      addAgent(mount, context, collected);
      return;
  }
}

function volumeKind(source: string): "directory" | "file" {
  const found = statSync(source, { throwIfNoEntry: false });
  if (found !== undefined) return found.isDirectory() ? "directory" : "file";
  throw new BuildError(
    "option-invalid",
    `Cannot mount the volume "${source}": there is no such file or directory`,
  );
}

function addBind(
  collected: Collected,
  {
    kind,
    destination,
    source,
    readOnly,
  }: Pick<ContainerOptions["mounts"][number], "kind" | "destination" | "source"> & {
    readonly readOnly: boolean;
  },
): void {
  collected.mounts.push({
    kind,
    destination,
    type: "bind",
    source,
    options: ["rbind", readOnly ? "ro" : "rw"],
  });
}

function addSecret(
  mount: Extract<RunMount, { type: "secret" }>,
  context: SolveContext,
  collected: Collected,
): void {
  const content = context.secrets.get(mount.id);
  if (content === undefined && mount.required) {
    throw new BuildError(
      "option-invalid",
      `Cannot mount the secret "${mount.id}": the build was given no secret with that id`,
      {
        hint: `Give it with --secret id=${mount.id},src=FILE`,
      },
    );
  }
  if (mount.env !== undefined)
    collected.env.push(`${mount.env}=${Buffer.from(content ?? "").toString("utf8")}`);
  if (content === undefined || mount.target === undefined) return;
  const { mode, uid, gid } = mount;
  addMemoryFile(
    collected,
    { name: `secret-${collected.memoryFiles.length}`, content, mode, uid, gid },
    mount.target,
  );
}

/** An agent that the build was not given is left out, unless it is required. */
function addAgent(
  mount: Extract<RunMount, { type: "ssh" }>,
  context: SolveContext,
  { sockets, mounts }: Collected,
): void {
  const agent = context.ssh?.get(mount.id);
  if (agent === undefined) {
    if (!mount.required) return;
    throw new BuildError(
      "option-invalid",
      `Cannot mount the ssh agent "${mount.id}": the build was given no agent with that id`,
      { hint: `Give it with --ssh ${mount.id}=SOCKET or --ssh ${mount.id}=KEYFILE` },
    );
  }
  const { target: destination, mode, uid, gid } = mount;
  const name = `agent-${sockets.length}`;
  sockets.push({ name, agent, mode, uid, gid });
  const options = ["bind", "nosuid", "nodev", "noexec"];
  mounts.push({ kind: "file", destination, type: "bind", source: `socket:${name}`, options });
}

function addMemoryFile(collected: Collected, file: MemoryFile, destination: string): void {
  collected.memoryFiles.push(file);
  const options = ["bind", "ro", "nosuid", "nodev"];
  collected.mounts.push({ kind: "file", destination, type: "bind", source: `memory:${file.name}`, options });
}
