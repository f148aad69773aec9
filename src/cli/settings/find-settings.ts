import { realpathSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join, resolve, sep } from "node:path";
import { attachSpan, BuildError } from "../../errors/build-error.ts";
import {
  type ConfigFile,
  findProjectConfig,
  isTable,
  readConfigFile,
  userConfigPath,
} from "./read-config-file.ts";
import {
  parseBoolean,
  REGISTRY_KEYS,
  type RegistryKey,
  SETTINGS,
  type SettingDefinition,
} from "./setting-table.ts";
import type { FoundSetting, RegistrySettings, SettingSource, Settings } from "./settings.ts";

export interface FoundSettings {
  readonly settings: Settings;
  /** What was found, in the order in which it counts: the last of a name wins. */
  readonly found: readonly FoundSetting[];
}

/**
 * The settings of the user's file, the project's file and the environment; later ones win. What the command line says is
 * not here: options win over all of it.
 *
 * @throws BuildError `option-invalid` for what cannot be read, `not-permitted` for what a project may not say.
 */
export async function findSettings({
  env,
  directory,
}: {
  readonly env: NodeJS.ProcessEnv;
  readonly directory: string;
}): Promise<FoundSettings> {
  const user = await readConfigFile(userConfigPath(env), "user");
  const projectPath = findProjectConfig(directory);
  const project = projectPath === undefined ? undefined : await readConfigFile(projectPath, "project");
  const isTrusted =
    project !== undefined && listTrusted(user, env).some((one) => contains(one, project.path));
  const found: FoundSetting[] = [];
  const merged: Record<string, unknown> = {};
  const registries: Record<string, Record<string, unknown>> = {};
  const set = (definition: SettingDefinition, value: unknown, from: Omit<FoundSetting, "name">) => {
    merged[definition.property] = value;
    found.push({ name: definition.name, ...from });
  };
  const setRegistry = (
    prefix: string,
    { key, value }: { key: RegistryKey; value: unknown },
    source: SettingSource,
  ) => {
    registries[prefix] = { ...registries[prefix], [key.property]: value };
    found.push({ name: `registry."${prefix}".${key.name}`, value, source });
  };
  for (const file of [user, project]) {
    if (file === undefined) continue;
    const mayAll = file.kind === "user" || isTrusted;
    readSettings(file, mayAll, set);
    readRegistries(file, mayAll, setRegistry);
  }
  readEnvironment(env, set);
  readRegistryVariables(env, setRegistry);
  return {
    settings: { ...merged, registries: registries as Record<string, RegistrySettings> } as Settings,
    found,
  };
}

type SetSetting = (
  definition: SettingDefinition,
  value: unknown,
  from: Pick<FoundSetting, "value" | "source">,
) => void;

function readSettings(file: ConfigFile, mayAll: boolean, set: SetSetting): void {
  for (const definition of SETTINGS) {
    const { name } = definition;
    const value = file.values[name];
    if (value === undefined) continue;
    const span = file.locate([name]);
    let read: unknown;
    try {
      read = parseValue(definition, value, dirname(file.path));
    } catch (error) {
      throw attachSpan(error, span);
    }
    if (!mayAll && !definition.isForProjects(read)) throw notForProjects(name, file, [name]);
    set(definition, read, { value, source: { kind: file.kind, span } });
  }
}

function parseValue(definition: SettingDefinition, value: unknown, directory: string): unknown {
  const { name, type, parse } = definition;
  if (type === "list") {
    const list = Array.isArray(value) ? value : [value];
    return list.map((item) => parse(asText(item, name), name));
  }
  const text = asText(value, name);
  return parse(type === "path" ? resolvePath(directory, text) : text, name);
}

function asText(value: unknown, name: string): string {
  if (["string", "number", "boolean", "bigint"].includes(typeof value)) return String(value);
  throw new BuildError("option-invalid", `Cannot use this for ${name}: it is no single value`);
}

/** Paths in a file are relative to it. */
function resolvePath(directory: string, text: string): string {
  return text.startsWith("~/") ? join(homedir(), text.slice(2)) : resolve(directory, text);
}

type SetRegistry = (
  prefix: string,
  value: { readonly key: RegistryKey; readonly value: unknown },
  source: SettingSource,
) => void;

function readRegistries(file: ConfigFile, mayAll: boolean, set: SetRegistry): void {
  for (const [prefix, table] of Object.entries(
    (file.values.registry ?? {}) as Readonly<Record<string, unknown>>,
  )) {
    if (!isTable(table)) continue;
    for (const key of REGISTRY_KEYS) {
      const value = table[key.name];
      if (value === undefined) continue;
      const path = ["registry", prefix, key.name];
      const span = file.locate(path);
      if (!mayAll && !(key.name === "blocked" && value === true)) {
        throw notForProjects(`${key.name} of registry "${prefix}"`, file, path);
      }
      const wanted = { list: "list of places", boolean: "boolean", text: "text", path: "path" }[key.type];
      const isList = Array.isArray(value) && value.every((one) => typeof one === "string");
      const isRight =
        key.type === "list" ? isList : typeof value === (key.type === "boolean" ? "boolean" : "string");
      if (!isRight) {
        const message = `Cannot use ${key.name} of registry "${prefix}": it is no ${wanted}`;
        throw new BuildError("option-invalid", message, { span });
      }
      const read = key.type === "path" ? resolvePath(dirname(file.path), value as string) : value;
      set(prefix, { key, value: read }, { kind: file.kind, span });
    }
  }
}

function readEnvironment(env: NodeJS.ProcessEnv, set: SetSetting): void {
  for (const definition of SETTINGS) {
    const { variable, type, parse } = definition;
    const text = env[variable];
    // An empty variable is none: that is how CI systems leave one out.
    if (!text) continue;
    const value =
      type === "list" ? splitList(text).map((item) => parse(item, variable)) : parse(text, variable);
    set(definition, value, { value: text, source: { kind: "environment", variable } });
  }
}

function readRegistryVariables(env: NodeJS.ProcessEnv, set: SetRegistry): void {
  for (const key of REGISTRY_KEYS) {
    const { variable, type } = key;
    const byPrefix = new Map<string, string[]>();
    for (const item of splitList(env[variable] ?? "")) {
      const equals = item.indexOf("=");
      if (type !== "boolean" && equals <= 0) {
        throw new BuildError(
          "option-invalid",
          `Cannot use "${item}" for ${variable}: it is not PREFIX=VALUE`,
        );
      }
      const prefix = equals < 0 ? item : item.slice(0, equals);
      const text = equals < 0 ? "true" : item.slice(equals + 1);
      byPrefix.set(prefix, [...(byPrefix.get(prefix) ?? []), text]);
    }
    for (const [prefix, texts] of byPrefix) {
      const last = texts.at(-1)!;
      const value = type === "list" ? texts : type === "boolean" ? parseBoolean(last, variable) : last;
      set(prefix, { key, value }, { kind: "environment", variable });
    }
  }
}

function splitList(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Directories whose projects may say everything: `trust` of the user's file and SLIPWAY_TRUST, never of a project's. */
function listTrusted(user: ConfigFile | undefined, env: NodeJS.ProcessEnv): string[] {
  const listed = user?.values.trust ?? [];
  if (!Array.isArray(listed) || !listed.every((one) => typeof one === "string")) {
    throw new BuildError("option-invalid", "Cannot use trust: it is no list of directories", {
      span: user?.locate(["trust"]),
    });
  }
  const fromVariable = (env.SLIPWAY_TRUST ?? "").split(delimiter).filter((one) => one !== "");
  return [...listed.map((one) => resolvePath("/", one)), ...fromVariable.map((one) => resolve(one))];
}

function contains(directory: string, path: string): boolean {
  try {
    return `${realpathSync(dirname(path))}${sep}`.startsWith(
      `${realpathSync(directory).replace(/\/$/, "")}${sep}`,
    );
  } catch {
    return false;
  }
}

function notForProjects(what: string, file: ConfigFile, path: readonly string[]): BuildError {
  return new BuildError(
    "not-permitted",
    `Cannot take ${what} from a project: it could make builds less safe`,
    {
      hint: `Put it into your own configuration, or trust this project there: trust = ["${dirname(file.path)}"]`,
      span: file.locate(path),
    },
  );
}
