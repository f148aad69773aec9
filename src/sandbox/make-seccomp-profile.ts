import { ARCHITECTURE_SYSCALLS, CAPABILITY_SYSCALLS, COMMON_SYSCALLS } from "./seccomp-syscalls.ts";

/** `linux.seccomp` of the OCI runtime spec 1.1. */
export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly SeccompRule[];
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArgument[];
}

interface SeccompArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: "SCMP_CMP_EQ" | "SCMP_CMP_NE" | "SCMP_CMP_MASKED_EQ";
}

/** The native architecture first; the others are those that the same kernel also runs. */
const ARCHITECTURES: Readonly<Record<string, readonly string[]>> = {
  x64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  arm64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
};

const EPERM = 1;
const ENOSYS = 38;
const AF_VSOCK = 40;
/** personality(2): PER_LINUX, PER_LINUX32, UNAME26, both, and the question which one it is. */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffff_ffff];
/** CLONE_NEW* but CLONE_NEWTIME, which clone(2) cannot ask for. */
const CLONE_NEW_NAMESPACES = 0x7e02_0000;

/**
 * Docker's default seccomp profile for a process with these capabilities. Without a known architecture there is no profile.
 *
 * @param architecture in Node's names (`process.arch`)
 */
export function makeSeccompProfile(
  architecture: string,
  capabilities: readonly string[],
): SeccompProfile | undefined {
  const architectures = ARCHITECTURES[architecture];
  if (architectures === undefined) return undefined;
  const isAdmin = capabilities.includes("CAP_SYS_ADMIN");
  const names = [
    COMMON_SYSCALLS,
    ARCHITECTURE_SYSCALLS[architecture] ?? "",
    ...capabilities.map((capability) => CAPABILITY_SYSCALLS[capability] ?? ""),
  ].flatMap((text) => text.split(/\s+/).filter((name) => name !== ""));
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: EPERM,
    architectures,
    syscalls: [
      { names: [...new Set(names)], action: "SCMP_ACT_ALLOW" },
      allowIf("socket", { index: 0, value: AF_VSOCK, op: "SCMP_CMP_NE" }),
      ...PERSONALITIES.map((value) => allowIf("personality", { index: 0, value, op: "SCMP_CMP_EQ" })),
      ...(isAdmin ? [] : CLONE_RULES),
    ],
  };
}

/**
 * A thread or process, but no new namespace. The flags of clone3 lie in memory, where a filter cannot read them: it does not
 * exist, and C libraries fall back to clone.
 */
const CLONE_RULES: readonly SeccompRule[] = [
  allowIf("clone", { index: 0, value: CLONE_NEW_NAMESPACES, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }),
  { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
];

function allowIf(name: string, argument: SeccompArgument): SeccompRule {
  return { names: [name], action: "SCMP_ACT_ALLOW", args: [argument] };
}
