import { BuildError } from "../../errors/build-error.ts";
import { parseLimits } from "../parse-limits.ts";
import { parseDuration } from "../parse-until.ts";
import { parseCount, parseEntitlement, parseNetwork, parseSize } from "../parse-values.ts";
import { parseProgressMode } from "../start-progress.ts";
import type { RegistrySettings, Settings } from "./settings.ts";

/** One setting: its names, its meaning, and whether a project's file may make it. */
export interface SettingDefinition {
  /** The key in a file. */
  readonly name: string;
  readonly variable: string;
  /** Of the command line, where there is one. */
  readonly option?: string;
  readonly summary: string;
  /** What holds when nobody sets it, for people. */
  readonly defaultText?: string;
  readonly type: "text" | "number" | "boolean" | "list" | "path";
  readonly property: Exclude<keyof Settings, "registries">;
  /** The value of a text; `what` names the setting and its place in messages. Throws BuildError `option-invalid`. */
  readonly parse: (text: string, what: string) => unknown;
  /**
   * Whether a project's file may give it this value. A project is what somebody else wrote: its file must not make a
   * build less safe, nor reach outside of it.
   */
  readonly isForProjects: (value: unknown) => boolean;
}

const always = () => true;
const never = () => false;

export const SETTINGS: readonly SettingDefinition[] = [
  {
    name: "root",
    variable: "SLIPWAY_ROOT",
    option: "--root",
    summary: "the store's directory",
    type: "path",
    property: "root",
    parse: (text) => text,
    isForProjects: never,
  },
  {
    name: "store-max",
    variable: "SLIPWAY_STORE_MAX",
    option: "--store-max",
    summary: "what the store may take, like 20g",
    type: "text",
    property: "storeMaxBytes",
    parse: parseSize,
    // A small one would empty the store.
    isForProjects: never,
  },
  {
    name: "progress",
    variable: "SLIPWAY_PROGRESS",
    option: "--progress",
    summary: "auto, plain, tty, quiet or rawjson",
    defaultText: "auto",
    type: "text",
    property: "progress",
    parse: parseProgressMode,
    isForProjects: always,
  },
  {
    name: "jobs",
    variable: "SLIPWAY_JOBS",
    option: "--jobs",
    summary: "how many RUNs may go on at once",
    defaultText: "16",
    type: "number",
    property: "jobs",
    parse: (text, what) => parseCount(text, what, 1),
    isForProjects: always,
  },
  {
    name: "cache-ttl",
    variable: "SLIPWAY_CACHE_TTL",
    option: "--cache-ttl",
    summary: "take only results from the cache that are younger, like 24h",
    type: "text",
    property: "cacheTtlMs",
    parse: parseDuration,
    isForProjects: always,
  },
  {
    name: "network",
    variable: "SLIPWAY_NETWORK",
    option: "--network",
    summary: "of RUNs: default, none or host",
    defaultText: "default",
    type: "text",
    property: "network",
    parse: parseNetwork,
    isForProjects: (value) => value !== "host",
  },
  {
    name: "allow",
    variable: "SLIPWAY_ALLOW",
    option: "--allow",
    summary: "entitlements that every build has",
    type: "list",
    property: "allow",
    parse: parseEntitlement,
    isForProjects: never,
  },
  {
    name: "limits",
    variable: "SLIPWAY_LIMITS",
    option: "--limit",
    summary: "what input may measure, NAME=VALUE,... (see limits.md)",
    type: "text",
    property: "limits",
    parse: parseLimits,
    isForProjects: never,
  },
  {
    name: "runtime",
    variable: "SLIPWAY_RUNTIME",
    summary: "the OCI runtime: crun or runc",
    type: "text",
    property: "runtime",
    parse: (text) => text,
    isForProjects: never,
  },
  {
    name: "authfile",
    variable: "SLIPWAY_AUTHFILE",
    option: "--authfile",
    summary: "credentials for registries",
    type: "path",
    property: "authFile",
    parse: (text) => text,
    isForProjects: never,
  },
  {
    name: "tls-verify",
    variable: "SLIPWAY_TLS_VERIFY",
    option: "--tls-verify",
    summary: "insist on valid certificates of registries",
    defaultText: "true, but not for loopback",
    type: "boolean",
    property: "tlsVerify",
    parse: parseBoolean,
    isForProjects: (value) => value === true,
  },
  {
    name: "cert-dir",
    variable: "SLIPWAY_CERT_DIR",
    option: "--cert-dir",
    summary: "*.crt, *.cert and *.key for registries",
    type: "path",
    property: "certificateDirectory",
    parse: (text) => text,
    isForProjects: never,
  },
  {
    name: "retry",
    variable: "SLIPWAY_RETRY",
    option: "--retry",
    summary: "how often a request to a registry is repeated",
    defaultText: "4",
    type: "number",
    property: "retryCount",
    parse: (text, what) => parseCount(text, what, 0),
    isForProjects: always,
  },
  {
    name: "retry-delay",
    variable: "SLIPWAY_RETRY_DELAY",
    option: "--retry-delay",
    summary: "the first pause before a repetition, like 2s",
    defaultText: "0.5s",
    type: "text",
    property: "retryDelayMs",
    parse: parseDuration,
    isForProjects: always,
  },
];

/** A key of a `[registry."PREFIX"]` table, and the variable with `PREFIX=VALUE,...` (a list of prefixes for booleans). */
export interface RegistryKey {
  readonly name: string;
  readonly variable: string;
  readonly summary: string;
  readonly type: "text" | "boolean" | "list" | "path";
  readonly property: keyof RegistrySettings;
}

/** No project may make any of them, but for `blocked`. */
export const REGISTRY_KEYS: readonly RegistryKey[] = [
  {
    name: "location",
    variable: "SLIPWAY_REGISTRY_LOCATIONS",
    summary: "where images under the prefix really are",
    type: "text",
    property: "location",
  },
  {
    name: "mirrors",
    variable: "SLIPWAY_REGISTRY_MIRRORS",
    summary: "tried before it for pulls, in this order",
    type: "list",
    property: "mirrors",
  },
  {
    name: "insecure",
    variable: "SLIPWAY_INSECURE_REGISTRIES",
    summary: "may speak plain HTTP or show any certificate",
    type: "boolean",
    property: "insecure",
  },
  {
    name: "blocked",
    variable: "SLIPWAY_BLOCKED_REGISTRIES",
    summary: "refuse everything under the prefix",
    type: "boolean",
    property: "blocked",
  },
  {
    name: "cert-dir",
    variable: "SLIPWAY_REGISTRY_CERT_DIRS",
    summary: "*.crt, *.cert and *.key for this host",
    type: "path",
    property: "certDir",
  },
];

/** @throws BuildError `option-invalid`. */
export function parseBoolean(text: string, what: string): boolean {
  if (/^(?:1|t|true|yes|on)$/i.test(text)) return true;
  if (/^(?:0|f|false|no|off)$/i.test(text)) return false;
  throw new BuildError("option-invalid", `Cannot use "${text}" for ${what}: it is neither true nor false`);
}
