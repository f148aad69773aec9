import { isIP } from "node:net";
import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import type { BuildOptions } from "../index.ts";

const SIZE_UNITS = ["", "k", "m", "g", "t", "p"];

/** `NAME=VALUE` of a repeatable option; `what` names it in messages. The last value of a name wins. */
export function parsePairs(texts: readonly string[], what: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    texts.map((text) => {
      const equals = text.indexOf("=");
      if (equals <= 0) {
        throw new BuildError("option-invalid", `Cannot use "${text}" for ${what}: it is not NAME=VALUE`);
      }
      return [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}

/** The same, where `NAME` alone takes the value of the variable in `env`, or is left out where there is none. */
export function parseVariables(
  texts: readonly string[],
  what: string,
  env: NodeJS.ProcessEnv,
): Readonly<Record<string, string>> {
  const known = texts.flatMap((text) => {
    if (text.includes("=") || text === "") return [text];
    return env[text] === undefined ? [] : [`${text}=${env[text]}`];
  });
  return parsePairs(known, what);
}

/** `64m`: a number of bytes with a binary unit, as docker reads sizes. */
export function parseSize(text: string, what: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text) ?? [];
  if (number === undefined) {
    throw new BuildError("option-invalid", `Cannot use "${text}" for ${what}: it is no size`, {
      hint: "Write a number with b, k, m or g, like 64m",
    });
  }
  return Math.floor(Number(number) * 1024 ** SIZE_UNITS.indexOf(unit!.toLowerCase()));
}

/** Names of setrlimit(2), as docker's go-units has them. */
const ULIMITS = [
  "as",
  "core",
  "cpu",
  "data",
  "fsize",
  "locks",
  "memlock",
  "msgqueue",
  "nice",
  "nofile",
  "nproc",
  "rss",
  "rtprio",
  "rttime",
  "sigpending",
  "stack",
];

/** `nofile=1024:2048`; one number is both limits, -1 is no limit. */
export function parseUlimit(text: string): NonNullable<BuildOptions["ulimits"]>[number] {
  const [, name, softText, hardText] = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/i.exec(text) ?? [];
  const refuse = (reason: string, hint?: string) =>
    new BuildError("option-invalid", `Cannot use "${text}" for --ulimit: ${reason}`, { hint });
  if (name === undefined) throw refuse("it is not NAME=SOFT[:HARD]", "Write it like nofile=1024:2048");
  if (!ULIMITS.includes(name.toLowerCase())) {
    throw refuse(`there is no limit "${name}"`, hintNearest(name, ULIMITS));
  }
  const read = (number: string) => (number === "-1" ? UNLIMITED : Number(number));
  const soft = read(softText!);
  const hard = read(hardText ?? softText!);
  if (!(soft >= 0 && hard >= 0)) throw refuse("a limit is not negative, but for -1");
  if (soft > hard) throw refuse("the soft limit is above the hard one");
  return { name: name.toLowerCase(), soft, hard };
}

/** Near enough to RLIM_INFINITY, 2 ** 64 - 1: the largest double below it. */
const UNLIMITED = 2 ** 64 - 2048;

/** `example.org:127.0.0.1`, or with `=`, IPv6 in brackets or not. */
export function parseExtraHost(text: string): NonNullable<BuildOptions["extraHosts"]>[number] {
  const [, host, address] = /^([^:=]+)[:=](.+)$/.exec(text) ?? [];
  const ip = address?.replace(/^\[(.*)\]$/, "$1");
  if (ip === "host-gateway") {
    throw new BuildError("unsupported", `Cannot use "${text}" for --add-host: host-gateway is not there yet`);
  }
  if (host === undefined || ip === undefined || isIP(ip) === 0) {
    throw new BuildError("option-invalid", `Cannot use "${text}" for --add-host: it is not HOST:ADDRESS`);
  }
  return { host, ip };
}

const NETWORKS = ["default", "none", "host"] as const;

export function parseNetwork(text: string, what = "--network"): (typeof NETWORKS)[number] {
  const mode = NETWORKS.find((known) => known === text);
  if (mode !== undefined) return mode;
  throw new BuildError("option-invalid", `Cannot use "${text}" for ${what}: there is no such network`, {
    hint: hintNearest(text, NETWORKS) ?? `Networks are ${NETWORKS.join(", ")}`,
  });
}

/** A number from `least` to 9999. @throws BuildError `option-invalid`. */
export function parseCount(text: string, what: string, least: 0 | 1): number {
  if (/^(?:0|[1-9]\d{0,3})$/.test(text) && Number(text) >= least) return Number(text);
  throw new BuildError(
    "option-invalid",
    `Cannot use "${text}" for ${what}: it is no number from ${least} to 9999`,
  );
}

const ENTITLEMENTS = ["network.host", "security.insecure", "device"];

export function parseEntitlement(text: string): string {
  if (ENTITLEMENTS.includes(text) || text.startsWith("device=")) return text;
  throw new BuildError("option-invalid", `Cannot allow "${text}": there is no such entitlement`, {
    hint: hintNearest(text, ENTITLEMENTS) ?? `Entitlements are ${ENTITLEMENTS.join(", ")}`,
  });
}
