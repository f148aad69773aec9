import { readFileSync } from "node:fs";
import { CAPABILITY_NAMES } from "../oci/capability-names.ts";

/** The capabilities that this process has in effect (proc(5), `CapEff`), and could give to a command. */
export function readCapabilities(): string[] {
  const status = readFileSync("/proc/self/status", "utf8");
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return CAPABILITY_NAMES.filter((_, bit) => (mask >> BigInt(bit)) & 1n);
}
