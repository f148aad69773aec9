import type { Command } from "commander";
import { defaultStoreRoot } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { formatTable } from "../format-table.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { SETTINGS } from "../settings/setting-table.ts";
import type { FoundSetting, SettingSource } from "../settings/settings.ts";
import { shortPath } from "../short-path.ts";

const HELP = `
Of several places the last one counts: the user's $XDG_CONFIG_HOME/slipway/config.toml, the project's
slipway.toml, SLIPWAY_* in the environment, the command line.
`;

export function defineConfig(command: Command, context: CommandContext): void {
  command.usage("show [OPTIONS]").addHelpText("after", HELP);
  command
    .command("show")
    .summary("show what is set, and where")
    .description("Shows every setting, its value and where that comes from.")
    .addOption(makeOption("--format <format>", "table, or json for one object a setting and line"))
    .action(({ format }: { readonly format?: string }) => {
      const isJson = parseListFormat(format) === "json";
      const rows = listSettings(context);
      context.stdout.write(
        isJson ? rows.map((row) => `${JSON.stringify(toJson(row))}\n`).join("") : toTable(rows),
      );
    });
}

interface SettingRow {
  readonly name: string;
  readonly value: unknown;
  /** Absent: nobody set it. */
  readonly source?: SettingSource;
  /** What would count without it, the last first. */
  readonly hidden: readonly FoundSetting[];
}

/** All that are in the table, set or not, then the registries' ones. */
function listSettings({ env, foundSettings }: CommandContext): SettingRow[] {
  const byName = new Map<string, FoundSetting[]>();
  for (const one of foundSettings()) byName.set(one.name, [one, ...(byName.get(one.name) ?? [])]);
  const names = [...new Set([...SETTINGS.map(({ name }) => name), ...byName.keys()])];
  return names.map((name) => {
    const [first, ...hidden] = byName.get(name) ?? [];
    const defaultText = name === "root" ? defaultStoreRoot({ ...env, SLIPWAY_ROOT: undefined }) : undefined;
    const value = first?.value ?? defaultText ?? SETTINGS.find((one) => one.name === name)?.defaultText;
    return { name, value, source: first?.source, hidden };
  });
}

function toTable(rows: readonly SettingRow[]): string {
  return formatTable([
    ["SETTING", "VALUE", "FROM"],
    ...rows.map(({ name, value, source }) => [
      name,
      Array.isArray(value) ? value.join(", ") : String(value ?? ""),
      describeSource(source),
    ]),
  ]);
}

function toJson({ name, value, source, hidden }: SettingRow) {
  return {
    Name: name,
    Value: value ?? null,
    ...sourceJson(source),
    ...(hidden.length > 0 && {
      Hidden: hidden.map((one) => ({ Value: one.value, ...sourceJson(one.source) })),
    }),
  };
}

function sourceJson(source: SettingSource | undefined) {
  if (source === undefined) return { Source: "default" };
  switch (source.kind) {
    case "user":
    case "project":
      return { Source: source.kind, File: source.span.file, Line: source.span.startLine };
    case "environment":
      return { Source: source.kind, Variable: source.variable };
    case "option":
      return { Source: source.kind, Option: source.option };
  }
}

function describeSource(source: SettingSource | undefined): string {
  if (source === undefined) return "default";
  if (source.kind === "option") return source.option;
  if (source.kind === "environment") return source.variable;
  return `${shortPath(source.span.file)}:${source.span.startLine}`;
}
