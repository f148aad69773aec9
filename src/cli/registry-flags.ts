import type { Command } from "commander";
import type { SessionOptions } from "../build/open-session.ts";
import { makeOption } from "./make-option.ts";

export interface RegistryFlags {
  readonly authfile?: string;
  readonly tlsVerify?: true;
  readonly noTlsVerify?: true;
}

/** `--authfile` and `--tls-verify[=false]`, as podman and buildah have them. */
export function addRegistryFlags(command: Command): void {
  command
    .addOption(makeOption("--authfile <file>", "credentials for registries (default: docker's and podman's)"))
    .addOption(makeOption("--tls-verify", "insist on valid certificates (default for all but loopback)"))
    .addOption(makeOption("--no-tls-verify", "the same as --tls-verify=false", { isHidden: true }));
}

export function readRegistryFlags(flags: RegistryFlags): Pick<SessionOptions, "authFile" | "tlsVerify"> {
  return { authFile: flags.authfile, tlsVerify: flags.noTlsVerify ? false : flags.tlsVerify };
}
