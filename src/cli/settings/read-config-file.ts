import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { BuildError, type SourceSpan } from "../../errors/build-error.ts";
import { hintNearest } from "../../errors/suggest-nearest.ts";
import { REGISTRY_KEYS, SETTINGS } from "./setting-table.ts";

const PROJECT_FILE = "slipway.toml";

/** A configuration file, with the places of its keys. */
export interface ConfigFile {
  readonly path: string;
  readonly kind: "user" | "project";
  readonly values: Readonly<Record<string, unknown>>;
  /** Where a key is set: `["registry", "docker.io", "mirrors"]`. */
  readonly locate: (path: readonly string[]) => SourceSpan;
}

/** `$XDG_CONFIG_HOME/slipway/config.toml`, whether it is there or not. */
export function userConfigPath(env: NodeJS.ProcessEnv): string {
  const home = env.XDG_CONFIG_HOME?.startsWith("/") ? env.XDG_CONFIG_HOME : join(homedir(), ".config");
  return join(home, "slipway/config.toml");
}

/**
 * The nearest `slipway.toml` from the directory up to its repository's root. Outside of a repository only the directory
 * itself counts: `/tmp/slipway.toml` is anybody's.
 */
export function findProjectConfig(directory: string): string | undefined {
  const upwards: string[] = [];
  for (let at = resolve(directory); ; at = dirname(at)) {
    upwards.push(at);
    if (existsSync(join(at, ".git"))) break;
    if (dirname(at) === at) {
      upwards.length = 1;
      break;
    }
  }
  return upwards.map((at) => join(at, PROJECT_FILE)).find((path) => existsSync(path));
}

/**
 * Reads a configuration file; undefined when it is not there.
 *
 * @throws BuildError `option-invalid` for what is no TOML and for keys that nobody knows, with the place.
 */
export async function readConfigFile(
  path: string,
  kind: ConfigFile["kind"],
): Promise<ConfigFile | undefined> {
  if (!existsSync(path)) return undefined;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new BuildError("option-invalid", `Cannot read the configuration "${path}"`, { cause });
  }
  const { parse, TomlError } = await import("smol-toml");
  let values: Record<string, unknown>;
  try {
    values = parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const reason = cause.message.split("\n")[0]!.replace(/^Invalid TOML document: /, "");
    throw new BuildError("option-invalid", `Cannot read the configuration "${path}": ${reason}`, {
      span: { file: path, startLine: cause.line, endLine: cause.line },
      cause,
    });
  }
  const locate = (keys: readonly string[]): SourceSpan => {
    const line = findLine(text, keys);
    return { file: path, startLine: line, endLine: line };
  };
  const file = { path, kind, values, locate };
  refuseUnknownKeys(file);
  return file;
}

const TOP_KEYS = [...SETTINGS.map(({ name }) => name), "registry", "trust"];

function refuseUnknownKeys({ values, locate }: ConfigFile): void {
  for (const key of Object.keys(values)) {
    if (!TOP_KEYS.includes(key)) throw unknownKey([key], TOP_KEYS, locate);
  }
  const { registry = {} } = values;
  if (!isTable(registry))
    throw new BuildError("option-invalid", 'Cannot use "registry": it is no table', {
      span: locate(["registry"]),
    });
  const names = REGISTRY_KEYS.map(({ name }) => name);
  for (const [prefix, table] of Object.entries(registry)) {
    const path = ["registry", prefix];
    if (!isTable(table)) {
      throw new BuildError("option-invalid", `Cannot use "${prefix}" of registry: it is no table`, {
        hint: 'Write [registry."HOST"], and below it what holds for that host',
        span: locate(path),
      });
    }
    for (const key of Object.keys(table)) {
      if (!names.includes(key)) throw unknownKey([...path, key], names, locate);
    }
  }
}

function unknownKey(
  path: readonly string[],
  known: readonly string[],
  locate: ConfigFile["locate"],
): BuildError {
  const key = path.at(-1)!;
  return new BuildError("option-invalid", `Cannot use the setting "${key}": there is no such setting`, {
    hint: hintNearest(key, known) ?? `Settings are ${known.join(", ")}`,
    span: locate(path),
  });
}

export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** The parser keeps no places: the line whose header and key spell the path, else the last that spells a part of it. */
function findLine(text: string, path: readonly string[]): number {
  const last = path.at(-1)!;
  let table: readonly string[] = [];
  let best = 1;
  for (const [position, line] of text.split("\n").entries()) {
    const header = /^\s*\[+\s*(.*?)\s*\]+\s*(?:#.*)?$/.exec(line);
    if (header !== null) table = splitKeys(header[1]!);
    const keys = header !== null ? table : [...table, ...splitKeys(/^([^=#]*)=/.exec(line)?.[1] ?? "")];
    if (keys.join("\0") === path.join("\0")) return position + 1;
    if (keys.length > 0 && path.join("\0").startsWith(keys.join("\0")) && line.includes(last))
      best = position + 1;
  }
  return best;
}

function splitKeys(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|([\w-]+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare!,
  );
}
