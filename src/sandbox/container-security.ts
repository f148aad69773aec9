import { BuildError } from "../errors/build-error.ts";
import type { Confinement } from "../oci/confinement.ts";
import type { ContainerDevice } from "./container-device.ts";
import { makeSeccompProfile } from "./make-seccomp-profile.ts";
import type { DeviceRule } from "./runtime-resources.ts";

/** How far a command is kept from the machine. */
export interface ContainerSecurity {
  readonly capabilities: readonly string[];
  /** Whether they stay with a command that is not root. */
  readonly isAmbient: boolean;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  /** The profile, as JSON. */
  readonly seccomp?: string;
  readonly hasNoNewPrivileges: boolean;
  /** Whether /sys can be written to. */
  readonly isSysWritable: boolean;
  readonly devices: readonly ContainerDevice[];
  readonly deviceRules: readonly DeviceRule[];
}

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

/** Without a name or address, none is allowed but those that every container has, which the runtime adds. */
const NO_DEVICE: DeviceRule = { allow: false, access: "rwm" };

export interface SecurityRequest {
  /** `--security=insecure`. */
  readonly isInsecure?: boolean;
  /** Whether cgroups keep a command from devices; where they do not, it cannot make device nodes unless that is asked for. */
  readonly hasDeviceRules: boolean;
  /** All that the machine lets this process have. */
  readonly machineCapabilities: readonly string[];
  readonly confinement?: Confinement;
}

/** @throws BuildError `sandbox` for a capability that this process has not itself. */
export function containerSecurity(request: SecurityRequest): ContainerSecurity {
  const { isInsecure, hasDeviceRules, machineCapabilities: all, confinement } = request;
  const usual = isInsecure
    ? all
    : DEFAULT_CAPABILITIES.filter((name) => hasDeviceRules || name !== "CAP_MKNOD");
  const capabilities = confinement === undefined ? usual : changeCapabilities(usual, all, confinement);
  const security = isInsecure ? insecureSecurity(capabilities) : sandboxSecurity(capabilities);
  if (confinement === undefined) return security;
  const { isSeccompOff, hasNoNewPrivileges } = confinement;
  return { ...security, hasNoNewPrivileges, ...(isSeccompOff && { seccomp: undefined }) };
}

function changeCapabilities(
  usual: readonly string[],
  all: readonly string[],
  { addCapabilities: added, dropCapabilities: dropped }: Confinement,
): readonly string[] {
  const missing = added.find((name) => name !== "ALL" && !all.includes(name) && !dropped.includes(name));
  if (missing !== undefined) {
    throw new BuildError("sandbox", `Cannot give commands ${missing}: slipway itself does not have it`, {
      hint: "Run it as root, and in a container with that capability",
    });
  }
  const kept = dropped.includes("ALL") ? [] : usual;
  const wanted = new Set([...kept, ...(added.includes("ALL") ? all : added)]);
  return [...wanted].filter((name) => !dropped.includes(name)).sort();
}

/** Docker's default containment. */
function sandboxSecurity(capabilities: readonly string[]): ContainerSecurity {
  return {
    capabilities,
    isAmbient: false,
    maskedPaths: MASKED_PATHS,
    readonlyPaths: READONLY_PATHS,
    seccomp: formatSeccompProfile(capabilities),
    hasNoNewPrivileges: false,
    isSysWritable: false,
    devices: [],
    deviceRules: [NO_DEVICE],
  };
}

/** By the capabilities: most commands have the same. */
const seccompProfiles = new Map<string, string | undefined>();

function formatSeccompProfile(capabilities: readonly string[]): string | undefined {
  const key = capabilities.join();
  if (!seccompProfiles.has(key)) {
    const profile = makeSeccompProfile(process.arch, capabilities);
    seccompProfiles.set(key, profile && JSON.stringify(profile));
  }
  return seccompProfiles.get(key);
}

/** Character devices that BuildKit gives an insecure command. */
const INSECURE_DEVICES = [
  { path: "/dev/kmsg", major: 1, minor: 11 },
  { path: "/dev/cuse", major: 10, minor: 203 },
  { path: "/dev/fuse", major: 10, minor: 229 },
  { path: "/dev/kvm", major: 10, minor: 232 },
  { path: "/dev/net/tun", major: 10, minor: 200 },
  { path: "/dev/loop-control", major: 10, minor: 237 },
] as const;
const LOOP_MAJOR = 7;
const LOOP_DEVICES = 16;

/** `--security=insecure`: root of the machine in all but its namespaces, as BuildKit has it. */
function insecureSecurity(capabilities: readonly string[]): ContainerSecurity {
  const loops = Array.from({ length: LOOP_DEVICES }, (_, minor) => ({
    path: `/dev/loop${minor}`,
    type: "b" as const,
    major: LOOP_MAJOR,
    minor,
  }));
  return {
    capabilities,
    isAmbient: true,
    maskedPaths: [],
    readonlyPaths: [],
    hasNoNewPrivileges: false,
    isSysWritable: true,
    devices: [...INSECURE_DEVICES.map((device) => ({ ...device, type: "c" as const })), ...loops],
    deviceRules: [
      { allow: true, type: "c", access: "rwm" },
      { allow: true, type: "b", access: "rwm" },
    ],
  };
}
