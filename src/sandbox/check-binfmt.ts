import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { formatPlatform, hostPlatform, type Platform } from "../oci/platform.ts";

const BINFMT = "/proc/sys/fs/binfmt_misc";

const ELF_MAGIC = 0x7f454c46;

/** ELF's `e_machine` and class (1: 32 bits, 2: 64 bits), and whether it is big-endian. */
interface Machine {
  readonly machine: number;
  readonly elfClass: 1 | 2;
  readonly isBig?: boolean;
}

/** Of what runs on an architecture. */
const MACHINES: Readonly<Record<string, Machine>> = {
  "386": { machine: 3, elfClass: 1 },
  amd64: { machine: 62, elfClass: 2 },
  arm: { machine: 40, elfClass: 1 },
  arm64: { machine: 183, elfClass: 2 },
  loong64: { machine: 258, elfClass: 2 },
  mips: { machine: 8, elfClass: 1, isBig: true },
  mipsle: { machine: 8, elfClass: 1 },
  mips64: { machine: 8, elfClass: 2, isBig: true },
  mips64le: { machine: 8, elfClass: 2 },
  ppc64: { machine: 21, elfClass: 2, isBig: true },
  ppc64le: { machine: 21, elfClass: 2 },
  riscv64: { machine: 243, elfClass: 2 },
  s390x: { machine: 22, elfClass: 2, isBig: true },
};
const GET_HANDLER =
  "Install one: apt-get install qemu-user-static (Debian, Ubuntu), or docker run --privileged --rm tonistiigi/binfmt --install all; or build natively with FROM --platform=$BUILDPLATFORM";

/** What a kernel runs besides its own programs. */
const ALSO_NATIVE: Readonly<Record<string, readonly string[]>> = { amd64: ["386"], arm64: ["arm"] };

/**
 * Refuses a RUN of a platform whose programs this machine cannot start: neither its processor nor a handler of the kernel
 * (Documentation/admin-guide/binfmt-misc.rst) runs them. Where handlers cannot be looked at, the command has to show it.
 *
 * @throws BuildError `environment` with how to get a handler; `unsupported` for another operating system.
 */
export function checkBinfmt(platform: Platform, directory = BINFMT): void {
  const host = hostPlatform(process.arch);
  if (platform.os !== "linux") {
    throw new BuildError(
      "unsupported",
      `Cannot run a command for ${formatPlatform(platform)}: RUN is for linux only`,
      { hint: "COPY from a stage for linux: FROM --platform=$BUILDPLATFORM ..." },
    );
  }
  const { architecture } = platform;
  const hint = hintForeign(platform);
  if (hint === undefined) return;
  const handlers = readHandlers(directory);
  if (handlers === undefined || handlers.some((text) => handles(text, architecture))) return;
  throw new BuildError(
    "environment",
    `Cannot run a command for ${formatPlatform(platform)}: this machine is ${formatPlatform(host)}, and its kernel has no handler for ${architecture} programs`,
    { hint },
  );
}

/** What to do about a platform whose programs the machine does not start by itself; undefined where it does. */
export function hintForeign({ architecture }: Platform): string | undefined {
  const host = hostPlatform(process.arch).architecture;
  const isNative = architecture === host || ALSO_NATIVE[host]?.includes(architecture);
  return isNative ? undefined : GET_HANDLER;
}

/** What a program is for, by its ELF header; undefined for what is none, or for an architecture that nobody builds for. */
export function architectureOf(head: Buffer): string | undefined {
  if (head.length < 20 || head.readUInt32BE(0) !== ELF_MAGIC) return undefined;
  const found = Object.entries(MACHINES).find(([, wanted]) => isFor(head, wanted));
  return found?.[0];
}

/** Whether an ELF header is that of a machine's programs. */
function isFor(head: Buffer, { machine, elfClass, isBig = false }: Machine): boolean {
  if ((head[5] === 2) !== isBig || head[4] !== elfClass) return false;
  return (isBig ? head.readUInt16BE(18) : head.readUInt16LE(18)) === machine;
}

/** The texts of the enabled handlers; undefined when they cannot be seen. */
function readHandlers(directory: string): string[] | undefined {
  try {
    if (!readFileSync(join(directory, "status"), "utf8").startsWith("enabled")) return [];
    return readdirSync(directory)
      .filter((name) => name !== "status" && name !== "register")
      .map((name) => readFileSync(join(directory, name), "utf8"))
      .filter((text) => text.startsWith("enabled"));
  } catch {
    return undefined;
  }
}

/** By the magic that the handler is registered with: the beginning of an ELF header. */
function handles(text: string, architecture: string): boolean {
  const wanted = MACHINES[architecture];
  const offset = /^offset (\d+)$/m.exec(text)?.[1] ?? "0";
  const hex = /^magic ([0-9a-f]+)$/m.exec(text)?.[1];
  if (wanted === undefined || hex === undefined || offset !== "0") return false;
  const magic = Buffer.from(hex, "hex");
  return magic.length >= 20 && magic.readUInt32BE(0) === ELF_MAGIC && isFor(magic, wanted);
}
