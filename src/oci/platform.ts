import { BuildError } from "../errors/build-error.ts";

/** OCI image spec 1.1, image-index.md: the platform object, in its normalised spelling (`amd64`, `arm64`, `arm`/`v7`). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly "os.version"?: string;
  readonly "os.features"?: readonly string[];
}

const OS_COMPONENT = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)((?:\+[A-Za-z0-9_.-]+)*)\))?$/;
const COMPONENT = /^[A-Za-z0-9_.-]+$/;
/** Go's GOOS and GOARCH lists: a specifier of one word is looked up here. */
const KNOWN_OS = new Set(
  "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos".split(
    " ",
  ),
);
const KNOWN_ARCHITECTURE = new Set(
  (
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le " +
    "ppc riscv riscv64 s390 s390x sparc sparc64 wasm"
  ).split(" "),
);

/**
 * Reads `os[(version[+feature])]/architecture[/variant]`, or one word that is an OS or an architecture, of which `host` gives the
 * other half. The result is normalised, as BuildKit normalises what `--platform` says: `linux/arm64/v8` is `linux/arm64`.
 *
 * @throws BuildError `option-invalid`
 */
export function parsePlatform(
  text: string,
  host: Platform = { os: "linux", architecture: "amd64" },
): Platform {
  const refuse = (reason: string) =>
    new BuildError("option-invalid", `Cannot use "${text}" as a platform: ${reason}`, {
      hint: "A platform is os/architecture[/variant], like linux/arm64",
    });
  const parts = text.split("/");
  const [first = "", architecture, variant] = parts;
  if (parts.length > 3) throw refuse("it has more than three parts");
  const os = OS_COMPONENT.exec(first);
  if (os === null) throw refuse(`"${first}" is not the name of an operating system`);
  for (const part of parts.slice(1)) {
    if (!COMPONENT.test(part)) throw refuse(`"${part}" is not the name of an architecture or variant`);
  }
  if (architecture !== undefined) {
    const features = os[3] ? os[3].slice(1).split("+") : undefined;
    return normalizePlatform({
      os: os[1]!,
      architecture,
      variant,
      "os.version": os[2] || undefined,
      "os.features": features,
    });
  }
  const asOs = normalizeOs(first);
  if (KNOWN_OS.has(asOs)) {
    return normalizePlatform({ os: asOs, architecture: host.architecture, variant: host.variant });
  }
  const asArchitecture = normalizePlatform({ os: host.os, architecture: first });
  if (KNOWN_ARCHITECTURE.has(asArchitecture.architecture)) return asArchitecture;
  throw refuse("it is no operating system and no architecture that is known");
}

/** `linux/arm/v7`; OS version and features are left out. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter(Boolean).join("/");
}

/** The canonical spelling: `x86_64` is `amd64`, `aarch64` and `arm64/v8` are `arm64`, `armhf` and `arm` are `arm/v7`. */
export function normalizePlatform(platform: Platform): Platform {
  const { architecture, variant } = normalizeArchitecture(platform.architecture, platform.variant ?? "");
  const features = [...new Set(platform["os.features"])].sort();
  return {
    os: normalizeOs(platform.os),
    architecture,
    ...(variant === "" ? {} : { variant }),
    ...(platform["os.version"] ? { "os.version": platform["os.version"] } : {}),
    ...(features.length === 0 ? {} : { "os.features": features }),
  };
}

/** Whether both mean the same OS, architecture and variant. */
export function isSamePlatform(one: Platform, other: Platform): boolean {
  return formatPlatform(normalizePlatform(one)) === formatPlatform(normalizePlatform(other));
}

/**
 * The platform of this machine's containers, from what Node says about it: `process.arch`, and for 32-bit ARM
 * `process.config.variables.arm_version`. The OS is linux wherever slipway runs.
 */
export function hostPlatform(nodeArchitecture: string, armVersion?: string | number): Platform {
  const architecture = NODE_ARCHITECTURE[nodeArchitecture] ?? nodeArchitecture;
  return normalizePlatform({
    os: "linux",
    architecture,
    variant: architecture === "arm" && armVersion !== undefined ? `v${armVersion}` : undefined,
  });
}

const NODE_ARCHITECTURE: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  mipsel: "mipsle",
  // Node runs on little-endian POWER Linux only.
  ppc64: "ppc64le",
};

function normalizeOs(os: string): string {
  const lower = os.toLowerCase();
  return lower === "macos" ? "darwin" : lower;
}

function normalizeArchitecture(architecture: string, variantText: string) {
  const variant = variantText.toLowerCase();
  switch (architecture.toLowerCase()) {
    case "i386":
      return { architecture: "386", variant: "" };
    case "x86_64":
    case "x86-64":
    case "amd64":
      return { architecture: "amd64", variant: variant === "v1" ? "" : variant };
    case "aarch64":
    case "arm64":
      return { architecture: "arm64", variant: variant === "8" || variant === "v8" ? "" : variant };
    case "armhf":
      return { architecture: "arm", variant: "v7" };
    case "armel":
      return { architecture: "arm", variant: "v6" };
    case "arm":
      if (variant === "") return { architecture: "arm", variant: "v7" };
      return { architecture: "arm", variant: /^[5-8]$/.test(variant) ? `v${variant}` : variant };
    default:
      return { architecture: architecture.toLowerCase(), variant };
  }
}
