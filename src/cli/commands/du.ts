import type { Command } from "commander";
import { listStoreItems, type StoreItem } from "../../index.ts";
import { formatSize } from "../../progress/format-size.ts";
import type { CommandContext } from "../command-context.ts";
import { describeItem, formatItems, ITEM_KINDS } from "../describe-item.ts";
import { formatAge } from "../format-age.ts";
import { formatTable } from "../format-table.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { withSession } from "../with-session.ts";

interface DuOptions {
  readonly verbose?: true;
  readonly format?: string;
}

export function defineDu(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS]")
    .addOption(makeOption("-v, --verbose", "each part, the largest first"))
    .addOption(makeOption("--format <format>", "table, or json for one object a part and line"))
    .action(async ({ verbose, format }: DuOptions) => {
      const isJson = parseListFormat(format) === "json";
      const items = await withSession(context, listStoreItems);
      // Of this very command there is nothing.
      const shown = items.filter(({ kind, sizeBytes }) => kind !== "temporary" || sizeBytes > 4096);
      const text = isJson
        ? formatItems(shown)
        : `${verbose ? `${formatParts(shown)}\n` : ""}${formatKinds(shown)}`;
      context.stdout.write(text);
    });
}

function formatKinds(items: readonly StoreItem[]): string {
  const row = (name: string, of: readonly StoreItem[]) => {
    const free = of.filter(({ neededBy, kind }) => neededBy === undefined && kind !== "database");
    return [name, String(of.length), formatSize(sum(of)), formatSize(sum(free))];
  };
  const kinds = Object.entries(ITEM_KINDS).flatMap(([kind, name]) => {
    const of = items.filter((item) => item.kind === kind);
    return of.length === 0 ? [] : [row(name, of)];
  });
  return formatTable([["KIND", "COUNT", "SIZE", "RECLAIMABLE"], ...kinds, row("Total", items)]);
}

function formatParts(items: readonly StoreItem[]): string {
  const now = Date.now();
  return formatTable([
    ["ID", "KIND", "SIZE", "LAST USED", "NEEDED", "DESCRIPTION"],
    ...[...items]
      .sort((one, other) => other.sizeBytes - one.sizeBytes)
      .map((item) => [
        item.id.replace(/^sha256:/, "").slice(0, 12),
        item.kind,
        formatSize(item.sizeBytes),
        item.used === 0 ? "" : `${formatAge(now - item.used)} ago`,
        item.neededBy === undefined ? "" : "yes",
        describeItem(item).slice(0, 80),
      ]),
  ]);
}

function sum(items: readonly StoreItem[]): number {
  return items.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
}
