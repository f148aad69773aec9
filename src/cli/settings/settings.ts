import type { SourceSpan } from "../../errors/build-error.ts";
import type { InputLimits } from "../../errors/input-limits.ts";
import type { ProgressMode } from "../start-progress.ts";

/** What holds for every command unless its own options say otherwise. Absent: the default of whoever uses it. */
export interface Settings {
  readonly root?: string;
  readonly storeMaxBytes?: number;
  readonly progress?: ProgressMode;
  /** How many RUNs may go on at once. */
  readonly jobs?: number;
  readonly cacheTtlMs?: number;
  readonly network?: "default" | "none" | "host";
  /** Entitlements that builds have without `--allow`. */
  readonly allow?: readonly string[];
  /** What input may measure. */
  readonly limits?: InputLimits;
  /** The OCI runtime. */
  readonly runtime?: string;
  readonly authFile?: string;
  readonly tlsVerify?: boolean;
  /** Certificates for any registry: `*.crt`, `*.cert` and `*.key`. */
  readonly certificateDirectory?: string;
  /** How often a request to a registry is repeated. */
  readonly retryCount?: number;
  readonly retryDelayMs?: number;
  /** By prefix: `host[:port][/path]`. */
  readonly registries: Readonly<Record<string, RegistrySettings>>;
}

/** A `[registry."PREFIX"]` table. */
export interface RegistrySettings {
  /** Where images under the prefix really are, for pulls and pushes. */
  readonly location?: string;
  /** Tried before the location, in this order, for pulls. */
  readonly mirrors?: readonly string[];
  /** May speak plain HTTP or show any certificate. The prefix is a host. */
  readonly insecure?: boolean;
  readonly blocked?: boolean;
  /** Certificates for this host: `*.crt`, `*.cert` and `*.key`. */
  readonly certDir?: string;
}

/** Where a value comes from; of several the last in this order counts. */
export type SettingSource =
  | { readonly kind: "user" | "project"; readonly span: SourceSpan }
  | { readonly kind: "environment"; readonly variable: string }
  | { readonly kind: "option"; readonly option: string };

/** A setting that somebody made: `name` is its key in files, tables with dots. */
export interface FoundSetting {
  readonly name: string;
  /** As it was written: of a file its TOML value, else text. */
  readonly value: unknown;
  readonly source: SettingSource;
}
