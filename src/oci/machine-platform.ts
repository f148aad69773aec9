import { hostPlatform, type Platform, parsePlatform } from "./platform.ts";

export function machinePlatform(): Platform {
  return hostPlatform(process.arch);
}

/** Of `os/architecture[/variant]`; this machine's when it is absent. @throws BuildError `option-invalid`. */
export function parseWantedPlatform(text: string | undefined): Platform {
  return text === undefined ? machinePlatform() : parsePlatform(text, machinePlatform());
}
