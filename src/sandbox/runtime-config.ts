import type { RuntimeConfig, RuntimeMount } from "./holder-protocol.ts";
import type { ResolvedUser } from "./resolve-user.ts";

/** What a command may do as root of its container: docker's default. */
const DEFAULT_CAPABILITIES = [
  "CAP_AUDIT_WRITE",
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_MKNOD",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_RAW",
  "CAP_SETFCAP",
  "CAP_SETGID",
  "CAP_SETPCAP",
  "CAP_SETUID",
  "CAP_SYS_CHROOT",
] as const;

/** What would tell of, or reach into, the host: docker's defaults. */
const MASKED_PATHS = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
] as const;
const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] as const;

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
  /** Besides the kernel's file systems. */
  readonly mounts: readonly RuntimeMount[];
}

/** The config.json of the OCI runtime spec 1.1 for one command, as docker contains it by default. */
export function makeRuntimeConfig(options: RuntimeConfigOptions): RuntimeConfig {
  const hasHome = options.env.some((variable) => variable.startsWith("HOME="));
  return {
    ociVersion: "1.0.2",
    hostname: options.hostname,
    root: { path: "rootfs", readonly: false },
    process: {
      terminal: options.terminal,
      user: { ...pick(options.user), umask: 0o022 },
      args: options.args,
      env: hasHome ? options.env : [...options.env, `HOME=${options.user.home}`],
      cwd: options.workingDirectory,
      capabilities: {
        bounding: DEFAULT_CAPABILITIES,
        effective: DEFAULT_CAPABILITIES,
        permitted: DEFAULT_CAPABILITIES,
      },
      rlimits: options.ulimits.map(({ name, soft, hard }) => ({
        type: `RLIMIT_${name.toUpperCase()}`,
        soft,
        hard,
      })),
      noNewPrivileges: false,
    },
    mounts: [...kernelMounts(options.shmSizeBytes ?? DEFAULT_SHM_BYTES), ...options.mounts],
    linux: {
      namespaces: ["pid", "ipc", "uts", "mount", ...(options.network === "host" ? [] : ["network"])].map(
        (type) => ({ type }),
      ),
      resources: { devices: [{ allow: false, access: "rwm" }] },
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
    },
  };
}

/** Where the runtime itself mounts something: nothing of these shows in a layer. */
export function kernelMountTargets(): string[] {
  return kernelMounts(0).map((mount) => mount.destination);
}

function kernelMounts(shmSizeBytes: number): RuntimeMount[] {
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
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...guarded, "ro"] },
  ];
}

function pick({ uid, gid, additionalGids }: ResolvedUser) {
  return { uid, gid, additionalGids };
}
