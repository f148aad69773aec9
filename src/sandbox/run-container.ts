import { randomBytes } from "node:crypto";
import { chmodSync, chownSync } from "node:fs";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import type { Confinement } from "../oci/confinement.ts";
import type { Layer } from "../rootfs/layer.ts";
import { ROOT } from "../rootfs/rootfs-path.ts";
import { openUnionTree, type UnionTree } from "../rootfs/union-tree.ts";
import { containerSecurity } from "./container-security.ts";
import type {
  AgentSocket,
  ContainerExit,
  ContainerRequest,
  MemoryFile,
  RuntimeMount,
} from "./holder-protocol.ts";
import type { Materialiser } from "./materialise-layers.ts";
import { findMountStubs, type MountTarget } from "./mount-stubs.ts";
import { readResolvConf } from "./resolv-conf.ts";
import { resolveUser } from "./resolve-user.ts";
import { RUN_DIRECTORY, type RunDirectories } from "./run-directories.ts";
import { kernelMountTargets, makeRuntimeConfig, type RuntimeConfigOptions } from "./runtime-config.ts";
import type { Holder, RunOptions } from "./start-holder.ts";

/** What runs containers for a build: one holder, one set of unpacked layers. */
export interface Sandbox {
  readonly materialiser: Materialiser;
  /** Starts it for the first one who asks, which is to run on that network. */
  openHolder(network: ContainerRequest["network"]): Promise<Holder>;
  readonly directories: RunDirectories;
  /** Whether commands can have networks of their own. */
  readonly hasPasta: boolean;
}

export interface ContainerOptions
  extends Pick<
    RuntimeConfigOptions,
    | "args"
    | "env"
    | "workingDirectory"
    | "network"
    | "shmSizeBytes"
    | "ulimits"
    | "limits"
    | "devices"
    | "deviceRules"
    | "hooks"
  > {
  /** `insecure`: all that the machine allows. */
  readonly security?: "sandbox" | "insecure";
  /** What is other than that. */
  readonly confinement?: Confinement;
  /** The root file system, bottom first. */
  readonly layers: readonly Layer[];
  /** `user[:group]`, names or numbers. */
  readonly user: string;
  readonly hostname: string;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  /** Mounted while the command runs; sources `memory:NAME` and `tree:NAME/PATH` stand for what the next two fields hold. */
  readonly mounts: readonly (RuntimeMount & { readonly kind: MountTarget["kind"] })[];
  readonly memoryFiles: readonly MemoryFile[];
  /** What sources `socket:NAME` stand for. */
  readonly sockets?: readonly AgentSocket[];
  readonly trees: readonly { readonly name: string; readonly layers: readonly Layer[] }[];
  /** One of the sandbox's, which the caller removes; `upper` in it holds the changes afterwards. */
  readonly directory: string;
  readonly stdio: "pipe" | "inherit";
  readonly terminal: boolean;
}

/** OVL_MAX_STACK of the kernel's overlayfs is 500, and one is for the mount points. */
const LOWER_MAX = 499;

/**
 * Runs one command on a union of layers. What it changed is in `<directory>/upper`, in the form of an overlay's upper
 * directory; mount points that did not exist have left nothing there.
 *
 * @throws BuildError `sandbox` when it cannot be started, `variable-invalid` for an unknown user.
 */
export async function runContainer(
  sandbox: Sandbox,
  options: ContainerOptions,
  runOptions: RunOptions & { readonly signal: AbortSignal },
): Promise<ContainerExit> {
  const holder = await sandbox.openHolder(options.network);
  const { hasErofs } = holder;
  const materialise = async (layers: readonly Layer[]) =>
    (await sandbox.materialiser.materialise(layers, { hasErofs, signal: runOptions.signal })).reverse();
  const [lowerDirectories, trees] = await Promise.all([
    materialise(options.layers),
    Promise.all(
      options.trees.map(async ({ name, layers }) => ({ name, lowerDirectories: await materialise(layers) })),
    ),
  ]);
  if (lowerDirectories.length > LOWER_MAX) {
    throw new BuildError(
      "unsupported",
      `Cannot mount ${lowerDirectories.length} layers: the kernel takes no more than ${LOWER_MAX} at once`,
      { hint: "Join some of the instructions, or split the stage and copy its result" },
    );
  }
  using tree = openUnionTree(options.layers);
  const upperDirectory = join(options.directory, RUN_DIRECTORY.upper);
  const workDirectory = join(options.directory, RUN_DIRECTORY.work);
  copyRootMetadata(tree, upperDirectory);

  const hostFiles = makeHostFiles(options);
  const fileMounts = [...hostFiles.map(hostFileMount), ...options.mounts];
  const stubs = findMountStubs(tree, [
    ...kernelMountTargets().map((path) => ({ path, kind: "directory" }) as const),
    ...fileMounts.map(({ destination, kind }) => ({ path: destination, kind })),
  ]);
  const hasDeviceRules = holder.cgroups !== "none";
  const isInsecure = options.security === "insecure";
  const id = randomBytes(8).toString("hex");
  const exit = holder.run(
    {
      id,
      directory: options.directory,
      lowerDirectories,
      stubs,
      trees,
      upperDirectory,
      workDirectory,
      memoryFiles: [...hostFiles, ...options.memoryFiles],
      ...(options.sockets && { sockets: options.sockets }),
      runtimeConfig: makeRuntimeConfig({
        ...options,
        user: resolveUser(tree, options.user),
        security: containerSecurity({
          isInsecure,
          hasDeviceRules,
          machineCapabilities: holder.capabilities,
          confinement: options.confinement,
        }),
        cgroups: holder.cgroups,
        mounts: fileMounts.map(({ kind: _, ...mount }) => mount),
      }),
      cgroupPath: holder.cgroupPath(id, options.limits?.cgroupParent),
      hasDevices: hasDeviceRules || isInsecure,
      network: options.network,
      stdio: options.stdio,
    },
    runOptions,
  );
  sandbox.directories.prepare();
  return exit;
}

/** An overlay's root directory has the metadata of its upper one. */
function copyRootMetadata(tree: UnionTree, upperDirectory: string): void {
  const root = tree.lookup(ROOT)!.entry;
  chownSync(upperDirectory, root.uid, root.gid);
  chmodSync(upperDirectory, root.mode);
}

/** /etc/hosts and /etc/resolv.conf as BuildKit gives them: mounted, so that no layer keeps them. */
function makeHostFiles({ hostname, extraHosts, network }: ContainerOptions): MemoryFile[] {
  const owner = { mode: 0o644, uid: 0, gid: 0 };
  const hosts = [
    `127.0.0.1\tlocalhost ${hostname}`,
    "::1\tlocalhost ip6-localhost ip6-loopback",
    ...extraHosts.map(({ host, ip }) => `${ip}\t${host}`),
  ];
  return [
    { name: "hosts", content: Buffer.from(`${hosts.join("\n")}\n`), ...owner },
    { name: "resolv.conf", content: Buffer.from(readResolvConf(network)), ...owner },
  ];
}

function hostFileMount({ name }: MemoryFile): ContainerOptions["mounts"][number] {
  return {
    kind: "file",
    destination: `/etc/${name}`,
    type: "bind",
    source: `memory:${name}`,
    options: ["bind", "rw", "nosuid", "nodev", "noexec"],
  };
}
