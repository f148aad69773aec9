import type { Command, Option } from "commander";
import type { SessionOptions } from "../index.ts";
import type { CommandContext } from "./command-context.ts";
import { makeOption, type OptionSettings } from "./make-option.ts";
import { parseDuration } from "./parse-until.ts";
import { parseCount } from "./parse-values.ts";
import { makeRegistryOptions } from "./settings/registry-options.ts";

export interface RegistryFlags {
  readonly authfile?: string;
  readonly tlsVerify?: true;
  readonly noTlsVerify?: true;
  readonly certDir?: string;
  readonly retry?: string;
  readonly retryDelay?: string;
}

/** Of commands that talk to registries, as podman and buildah have them. */
export function makeRegistryFlags({ group }: Pick<OptionSettings, "group"> = {}): Option[] {
  return [
    makeOption("--authfile <file>", "credentials for registries (default: docker's and podman's)", { group }),
    makeOption("--tls-verify", "insist on valid certificates (default for all but loopback)", { group }),
    makeOption("--no-tls-verify", "the same as --tls-verify=false", { isHidden: true }),
    makeOption("--cert-dir <directory>", "*.crt, *.cert and *.key for registries", { group }),
    makeOption("--retry <number>", "how often a request to a registry is repeated (default: 4)", { group }),
    makeOption("--retry-delay <duration>", "the first pause before that, which doubles (default: 0.5s)", {
      group,
    }),
  ];
}

export function addRegistryFlags(command: Command): void {
  for (const option of makeRegistryFlags()) command.addOption(option);
}

/** How to talk to registries: the settings, where the options do not say otherwise. */
export function readRegistryFlags(
  context: CommandContext,
  flags: RegistryFlags = {},
): Pick<SessionOptions, "authFile" | "tlsVerify" | "registryOptions"> {
  const settings = context.settings();
  return {
    authFile: flags.authfile ?? settings.authFile,
    tlsVerify: flags.noTlsVerify ? false : (flags.tlsVerify ?? settings.tlsVerify),
    registryOptions: makeRegistryOptions({
      registries: settings.registries,
      certificateDirectory: flags.certDir ?? settings.certificateDirectory,
      retryCount: flags.retry === undefined ? settings.retryCount : parseCount(flags.retry, "--retry", 0),
      retryDelayMs:
        flags.retryDelay === undefined
          ? settings.retryDelayMs
          : parseDuration(flags.retryDelay, "--retry-delay"),
    }),
  };
}
