import type { Command, Option } from "commander";
import { makeOption, type OptionSettings } from "./make-option.ts";
import { parseLimits } from "./parse-limits.ts";
import { parseSize } from "./parse-values.ts";
import type { FoundSettings } from "./settings/find-settings.ts";
import type { FoundSetting } from "./settings/settings.ts";

/** What commander makes of them. */
export interface GlobalFlags {
  readonly root?: string;
  readonly storeMax?: string;
  /** Several, with commas between. */
  readonly limit?: string;
  readonly debug?: true;
}

/** The options of every command, which stand before or behind its name. */
export function makeGlobalOptions(settings: OptionSettings = {}): Option[] {
  const limit = makeOption(
    "--limit <limits>",
    "what input may measure, NAME=VALUE: see docs/limits.md (default: $SLIPWAY_LIMITS)",
    settings,
  );
  return [
    makeOption("--root <dir>", "the store (default: $SLIPWAY_ROOT, else the usual data directory)", settings),
    makeOption(
      "--store-max <size>",
      "what the store may take (default: $SLIPWAY_STORE_MAX, else any size)",
      settings,
    ),
    limit.argParser((value, before?: string) => (before === undefined ? value : `${before},${value}`)),
    makeOption("-D, --debug", "tell the causes of errors", settings),
  ];
}

/** Gives a command those whose names it does not use itself. */
export function addGlobalOptions(command: Command, settings: OptionSettings): void {
  const isTaken = (name: string | undefined) =>
    command.options.some(({ short, long }) => name !== undefined && (short === name || long === name));
  for (const option of makeGlobalOptions(settings)) {
    if (isTaken(option.short)) option.short = undefined;
    if (!isTaken(option.long)) command.addOption(option);
  }
}

/** They win over what files and the environment say. */
export function withGlobalFlags(
  { settings, found }: FoundSettings,
  { root, storeMax, limit }: GlobalFlags,
): FoundSettings {
  const given: readonly (FoundSetting | undefined)[] = [
    fromOption("root", "--root", root),
    fromOption("store-max", "--store-max", storeMax),
    fromOption("limits", "--limit", limit),
  ];
  return {
    settings: {
      ...settings,
      ...(root !== undefined && { root }),
      ...(storeMax !== undefined && { storeMaxBytes: parseSize(storeMax, "--store-max") }),
      ...(limit !== undefined && { limits: parseLimits(limit, "--limit") }),
    },
    found: [...found, ...given.filter((one) => one !== undefined)],
  };
}

function fromOption(name: string, option: string, value: string | undefined): FoundSetting | undefined {
  return value === undefined ? undefined : { name, value, source: { kind: "option", option } };
}

/** How many words stand before the command's name. */
export function countGlobals(args: readonly string[]): number {
  const withValue = makeGlobalOptions().flatMap(({ long, required }) => (required ? [long] : []));
  let position = 0;
  while (args[position]?.startsWith("-")) position += withValue.includes(args[position]) ? 2 : 1;
  return position;
}
