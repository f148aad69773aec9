import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";

/** `text` takes one value, `list` several flags with a value each, `switch` is on by its name alone or by `=true`. */
export type FlagKind = "text" | "list" | "switch";

export interface Flags {
  text(name: string): string | undefined;
  list(name: string): readonly string[];
  /** Undefined when the flag is not there. */
  isOn(name: string): boolean | undefined;
}

/**
 * Reads an instruction's `--flags` against what it may have.
 *
 * @throws BuildError `dockerfile-syntax` for an unknown or repeated flag and for a bad or missing value.
 */
export function parseFlags(
  instruction: string,
  flags: readonly string[],
  allowed: Readonly<Record<string, FlagKind>>,
): Flags {
  const values = new Map<string, string[]>();
  const refuse = (problem: string, hint?: string): never => {
    throw new BuildError("dockerfile-syntax", `Cannot parse "${instruction}": ${problem}`, { hint });
  };
  for (const flag of flags) {
    const equals = flag.indexOf("=");
    const name = flag.slice(2, equals < 0 ? undefined : equals);
    const value = equals < 0 ? undefined : flag.slice(equals + 1);
    const kind = Object.hasOwn(allowed, name) ? allowed[name] : undefined;
    if (kind === undefined) {
      const names = Object.keys(allowed).map((other) => `--${other}`);
      return refuse(
        `unknown flag: --${name}`,
        hintNearest(`--${name}`, names) ?? listFlags(instruction, names),
      );
    }
    const before = values.get(name) ?? [];
    if (before.length > 0 && kind !== "list") refuse(`duplicate flag specified: --${name}`);
    if (kind === "switch") {
      const lower = value?.toLowerCase() ?? "true";
      if (lower !== "true" && lower !== "false") {
        refuse(`expecting boolean value for flag --${name}, not: "${value}"`);
      }
      before.push(lower);
    } else {
      if (value === undefined) return refuse(`missing a value on flag: --${name}`, `Write --${name}=VALUE`);
      before.push(value);
    }
    values.set(name, before);
  }
  return {
    // An empty value is as good as no flag.
    text: (name) => values.get(name)?.[0] || undefined,
    list: (name) => values.get(name) ?? [],
    isOn: (name) => (values.has(name) ? values.get(name)![0] === "true" : undefined),
  };
}

function listFlags(instruction: string, names: readonly string[]): string {
  return names.length === 0 ? `${instruction} takes no flags` : `${instruction} takes ${names.join(", ")}`;
}
