import type { RegistryClientOptions, RegistryRule } from "../../index.ts";
import type { Settings } from "./settings.ts";

/** What the settings mean for those who talk to registries. */
export function makeRegistryOptions(
  settings: Pick<Settings, "registries" | "certificateDirectory" | "retryCount" | "retryDelayMs">,
): Pick<RegistryClientOptions, "rules" | "insecureRegistries" | "certificatesOf" | "retries"> {
  const entries = Object.entries(settings.registries);
  const rules = entries.flatMap(([prefix, { location, mirrors, blocked }]): RegistryRule[] =>
    location === undefined && mirrors === undefined && !blocked
      ? []
      : [{ prefix, location, mirrors, isBlocked: blocked }],
  );
  return {
    rules,
    insecureRegistries: entries
      .filter(([, { insecure }]) => insecure)
      .map(([prefix]) => prefix.split("/")[0]!),
    certificatesOf: (host) => settings.registries[host]?.certDir ?? settings.certificateDirectory,
    retries: { count: settings.retryCount, delayMs: settings.retryDelayMs },
  };
}
