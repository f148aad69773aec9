import type { ResourceLimits } from "../oci/resource-limits.ts";
import type { CgroupVersion } from "./cgroup-view.ts";
import type { ContainerDevice } from "./container-device.ts";
import type { ContainerSecurity } from "./container-security.ts";
import type { RuntimeConfig, RuntimeHooks, RuntimeMount } from "./holder-protocol.ts";
import type { ResolvedUser } from "./resolve-user.ts";
import { type DeviceRule, makeRuntimeResources } from "./runtime-resources.ts";

const DEFAULT_SHM_BYTES = 64 * 1024 * 1024;

export interface RuntimeConfigOptions {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly workingDirectory: string;
  readonly user: ResolvedUser;
  readonly hostname: string;
  /** `host`: the host's own network; `none`: only a loopback; `pasta`: one of its own, which the holder puts in. */
  readonly network: "host" | "none" | "pasta";
  readonly shmSizeBytes?: number;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly terminal: boolean;
  readonly security: ContainerSecurity;
  /** What the holder has. */
  readonly cgroups: CgroupVersion;
  readonly limits?: ResourceLimits;
  /** Besides those that every container has and those of `security`. */
  readonly devices?: readonly ContainerDevice[];
  readonly deviceRules?: readonly DeviceRule[];
  readonly hooks?: RuntimeHooks;
  /** Besides the kernel's file systems. */
  readonly mounts: readonly RuntimeMount[];
}

/** The config.json of the OCI runtime spec 1.1 for one command. */
export function makeRuntimeConfig(options: RuntimeConfigOptions): RuntimeConfig {
  const { security } = options;
  const { capabilities } = security;
  // As runc: an empty one is none.
  const env = options.env.filter((variable) => variable !== "HOME=");
  const hasHome = env.some((variable) => variable.startsWith("HOME="));
  return {
    ociVersion: "1.0.2",
    hostname: options.hostname,
    root: { path: "rootfs", readonly: false },
    process: {
      terminal: options.terminal,
      user: { ...pick(options.user), umask: 0o022 },
      args: options.args,
      env: hasHome ? env : [...env, `HOME=${options.user.home}`],
      cwd: options.workingDirectory,
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        ...(security.isAmbient && { inheritable: capabilities, ambient: capabilities }),
      },
      rlimits: options.ulimits.map(({ name, soft, hard }) => ({
        type: `RLIMIT_${name.toUpperCase()}`,
        soft,
        hard,
      })),
      noNewPrivileges: security.hasNoNewPrivileges,
    },
    mounts: [
      ...kernelMounts({ shmSizeBytes: options.shmSizeBytes, isSysWritable: security.isSysWritable }),
      ...(options.cgroups === "none" ? [] : [cgroupMount(security.isSysWritable)]),
      ...options.mounts,
    ],
    ...(options.hooks && { hooks: options.hooks }),
    linux: {
      namespaces: [
        ...["pid", "ipc", "uts", "mount"],
        ...(options.network === "host" ? [] : ["network"]),
        // As docker: v1 has had none for most of its life.
        ...(options.cgroups === "v2" ? ["cgroup"] : []),
      ].map((type) => ({ type })),
      resources: makeRuntimeResources(options.limits ?? {}, [
        ...security.deviceRules,
        ...(options.deviceRules ?? []),
      ]),
      devices: [...security.devices, ...(options.devices ?? [])],
      maskedPaths: security.maskedPaths,
      readonlyPaths: security.readonlyPaths,
      ...(security.seccomp && { seccomp: security.seccomp }),
    },
  };
}

/** Where the runtime itself mounts something: nothing of these shows in a layer. */
export function kernelMountTargets(): string[] {
  return kernelMounts({ isSysWritable: false }).map((mount) => mount.destination);
}

function kernelMounts({
  shmSizeBytes = DEFAULT_SHM_BYTES,
  isSysWritable,
}: Pick<RuntimeConfigOptions, "shmSizeBytes"> & { readonly isSysWritable: boolean }): RuntimeMount[] {
  const guarded = ["nosuid", "noexec", "nodev"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: guarded },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: [...guarded, "mode=1777", `size=${shmSizeBytes}`],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: guarded },
    {
      destination: "/sys",
      type: "sysfs",
      source: "sysfs",
      options: [...guarded, isSysWritable ? "rw" : "ro"],
    },
  ];
}

/** What the command itself is limited to: programs read it there. */
function cgroupMount(isWritable: boolean): RuntimeMount {
  const options = ["nosuid", "noexec", "nodev", isWritable ? "rw" : "ro"];
  return { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options };
}

function pick({ uid, gid, additionalGids }: ResolvedUser) {
  return { uid, gid, additionalGids };
}
