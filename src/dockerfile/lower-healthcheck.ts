import { BuildError } from "../errors/build-error.ts";
import type { Healthcheck } from "../oci/image-config.ts";
import { parseDuration } from "./duration.ts";
import { parseFlags } from "./parse-flags.ts";
import type { SyntaxNode } from "./syntax-tree.ts";

const MILLISECOND_NS = 1e6;

/** What HEALTHCHECK says, as the image config has it. Throws BuildError `dockerfile-syntax`. */
export function lowerHealthcheck(node: SyntaxNode): Required<Healthcheck> {
  const refuse = (problem: string, hint?: string) =>
    new BuildError("dockerfile-syntax", `Cannot parse "HEALTHCHECK": ${problem}`, { hint });
  const [type, ...command] = node.arguments;
  if (type === undefined) throw refuse("HEALTHCHECK requires at least one argument");
  const flags = parseFlags("HEALTHCHECK", node.flags, {
    interval: "text",
    timeout: "text",
    "start-period": "text",
    "start-interval": "text",
    retries: "text",
  });
  const duration = (name: string): number => {
    const nanoseconds = parseDuration(flags.text(name) ?? "0");
    if (nanoseconds !== 0 && nanoseconds < MILLISECOND_NS) throw refuse(`--${name} cannot be less than 1ms`);
    return nanoseconds;
  };
  const retries = flags.text("retries") ?? "0";
  if (!/^[+-]?\d+$/.test(retries) || Number(retries) >= 2 ** 31)
    throw refuse(`--retries is no number: ${retries}`);
  if (Number(retries) < 0) throw refuse(`--retries cannot be negative (${retries})`);
  const times = {
    Interval: duration("interval"),
    Timeout: duration("timeout"),
    StartPeriod: duration("start-period"),
    StartInterval: duration("start-interval"),
    Retries: Number(retries),
  };
  switch (type.toUpperCase()) {
    case "NONE":
      // DIFFERS: its flags have been checked as well.
      if (command.length > 0) throw refuse("HEALTHCHECK NONE takes no arguments");
      return { Test: ["NONE"], Interval: 0, Timeout: 0, StartPeriod: 0, StartInterval: 0, Retries: 0 };
    case "CMD":
      if (command.length === 0) throw refuse("Missing command after HEALTHCHECK CMD");
      return { Test: [node.isJson ? "CMD" : "CMD-SHELL", ...command], ...times };
    default:
      throw refuse(`Unknown type "${type.toUpperCase()}" in HEALTHCHECK (try CMD)`);
  }
}
