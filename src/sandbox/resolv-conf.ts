import { existsSync, readFileSync } from "node:fs";

/** Where a step asks for names when the host's own resolver listens on its loopback: pasta passes it on. */
export const DNS_FORWARD_ADDRESS = "169.254.1.1";

const NAMESERVER = /^\s*nameserver\s/;
const ON_LOOPBACK = /^\s*nameserver\s+(?:127\.|::1)/;

/** The host's own; for a network of pasta's without resolvers on the host's loopback, which is out of reach. */
export function readResolvConf(network: "host" | "none" | "pasta"): string {
  const text = readHostResolvConf();
  if (network !== "pasta") return text;
  const lines = text.split("\n").filter((line) => !ON_LOOPBACK.test(line));
  return needsForward(text) ? [`nameserver ${DNS_FORWARD_ADDRESS}`, ...lines].join("\n") : lines.join("\n");
}

/**
 * Whether pasta is to pass on what is asked at `DNS_FORWARD_ADDRESS`: only where nothing else answers, for then every answer of the
 * host's first resolver seems to come from there, and who asked that one itself takes it for a stranger's.
 */
export function needsDnsForward(): boolean {
  return needsForward(readHostResolvConf());
}

function needsForward(text: string): boolean {
  return !text.split("\n").some((line) => NAMESERVER.test(line) && !ON_LOOPBACK.test(line));
}

function readHostResolvConf(): string {
  return existsSync("/etc/resolv.conf") ? readFileSync("/etc/resolv.conf", "utf8") : "";
}
