import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import type { BuildOptions } from "../index.ts";
import { CAPABILITY_NAMES } from "../oci/capability-names.ts";
import type { BuildFlags } from "./build-flags.ts";

/**
 * `--cap-add`, `--cap-drop` and `--security-opt`; undefined when none of them asks for anything.
 *
 * @throws BuildError `option-invalid`; `unsupported` for profiles of one's own.
 */
export function parseConfinement({
  capAdd,
  capDrop,
  securityOpt,
}: Pick<BuildFlags, "capAdd" | "capDrop" | "securityOpt">): BuildOptions["confinement"] {
  const addCapabilities = parseCapabilities(capAdd, "--cap-add");
  const dropCapabilities = parseCapabilities(capDrop, "--cap-drop");
  const asked = new Set(securityOpt.map(parseSecurityOption));
  const isSeccompOff = asked.has("seccomp=unconfined");
  const hasNoNewPrivileges = asked.has("no-new-privileges");
  const isDefault =
    addCapabilities.length + dropCapabilities.length === 0 && !isSeccompOff && !hasNoNewPrivileges;
  return isDefault ? undefined : { addCapabilities, dropCapabilities, isSeccompOff, hasNoNewPrivileges };
}

/** With or without `CAP_`, in any case, several with commas. */
function parseCapabilities(texts: readonly string[], option: string): string[] {
  const names = texts.flatMap((text) => text.split(",")).map((text) => parseCapability(text, option));
  return [...new Set(names)].sort();
}

function parseCapability(text: string, option: string): string {
  const bare = text.toUpperCase().replace(/^CAP_/, "");
  if (bare === "ALL") return bare;
  const name = `CAP_${bare}`;
  if (CAPABILITY_NAMES.includes(name)) return name;
  throw new BuildError("option-invalid", `Cannot use "${text}" for ${option}: there is no such capability`, {
    hint: hintNearest(name, CAPABILITY_NAMES),
  });
}

const SECURITY_OPTIONS = ["seccomp=unconfined", "no-new-privileges"] as const;
/** What is the case anyway: RUNs have no AppArmor profile and no SELinux label. */
const ALREADY_SO = ["apparmor=unconfined", "label=disable", "no-new-privileges=false"];
const KINDS = ["seccomp", "no-new-privileges", "apparmor", "label"];

function parseSecurityOption(text: string): (typeof SECURITY_OPTIONS)[number] | undefined {
  // docker also takes its old spelling, with a colon.
  const option = text.replace(":", "=").replace(/^(no-new-privileges)=true$/, "$1");
  if (ALREADY_SO.includes(option)) return undefined;
  const known = SECURITY_OPTIONS.find((one) => one === option);
  if (known !== undefined) return known;
  const kind = option.split("=", 1)[0]!;
  if (KINDS.includes(kind)) {
    throw new BuildError("unsupported", `Cannot use --security-opt ${text}: there is no such choice yet`, {
      hint: `There is ${[...SECURITY_OPTIONS, ...ALREADY_SO].join(", ")}`,
    });
  }
  throw new BuildError("option-invalid", `Cannot use "${text}" for --security-opt: there is no such option`, {
    hint: hintNearest(kind, KINDS) ?? `There is ${SECURITY_OPTIONS.join(", ")}`,
  });
}
