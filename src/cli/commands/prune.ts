import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { hintNearest } from "../../errors/suggest-nearest.ts";
import { type PruneOptions, pruneStore, type StoreItem } from "../../index.ts";
import { formatSize } from "../../progress/format-size.ts";
import type { CommandContext } from "../command-context.ts";
import { describeItem, formatItems, ITEM_KINDS } from "../describe-item.ts";
import { formatTable } from "../format-table.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { parseUntil } from "../parse-until.ts";
import { parseSize } from "../parse-values.ts";
import { withSession } from "../with-session.ts";

interface PruneFlags {
  readonly all?: true;
  readonly filter: readonly string[];
  readonly maxUsedSpace?: string;
  readonly keepStorage?: string;
  readonly reservedSpace?: string;
  readonly verbose?: true;
  readonly format?: string;
}

const HELP = `
Goes: layers of steps, images without a name, blobs. With --all also unpacked layers, indexes of layers that are
gone, cache mounts and git repositories, which save time. Never what an image with a name, a container or a running build needs.
`;

export function definePrune(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS]")
    .addOption(
      makeOption("-a, --all", "also unpacked layers, kept indexes, cache mounts and git repositories"),
    )
    .addOption(
      makeOption(
        "--filter <filter>",
        "until=24h: only what was last used before that; type=KIND and id=ID, as du -v has them",
        { isRepeatable: true },
      ),
    )
    .addOption(
      makeOption(
        "--max-used-space <size>",
        "the least recently used, until the store takes no more than this",
      ),
    )
    .addOption(makeOption("--keep-storage <size>", "the same as --max-used-space", { isHidden: true }))
    .addOption(makeOption("--reserved-space <size>", "the same as --max-used-space", { isHidden: true }))
    .addOption(makeOption("-v, --verbose", "each part"))
    .addOption(makeOption("--format <format>", "table, or json for one object a line, and the sum"))
    .addOption(makeOption("-f, --force", "has no effect: nobody is asked", { isHidden: true }))
    .addHelpText("after", HELP)
    .action(async (flags: PruneFlags) => {
      const isJson = parseListFormat(flags.format) === "json";
      const { items, freedBytes } = await withSession(context, (session) =>
        pruneStore(session, readOptions(flags)),
      );
      if (isJson) {
        context.stdout.write(`${formatItems(items)}${JSON.stringify({ ReclaimedBytes: freedBytes })}\n`);
        return;
      }
      if (items.length > 0) {
        const rows = flags.verbose
          ? items.map((item) => [
              item.id.replace(/^sha256:/, "").slice(0, 12),
              item.kind,
              formatSize(item.sizeBytes),
              describeItem(item).slice(0, 80),
            ])
          : Object.entries(ITEM_KINDS).flatMap(([kind, name]) => {
              const of = items.filter((item) => item.kind === kind);
              const bytes = of.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
              return of.length === 0 ? [] : [[name, String(of.length), formatSize(bytes)]];
            });
        const head = flags.verbose ? ["ID", "KIND", "SIZE", "DESCRIPTION"] : ["KIND", "COUNT", "SIZE"];
        context.stdout.write(`${formatTable([head, ...rows])}\n`);
      }
      context.stdout.write(`Total reclaimed space: ${formatSize(freedBytes)}\n`);
    });
}

function readOptions({ all, filter, ...sizes }: PruneFlags): PruneOptions {
  const size = sizes.maxUsedSpace ?? sizes.keepStorage ?? sizes.reservedSpace;
  const filters = filter.map(splitFilter);
  const valuesOf = (name: string) => filters.flatMap(([key, value]) => (key === name ? [value] : []));
  const times = valuesOf("until").map((value) => parseUntil(value, Date.now()));
  const kinds = valuesOf("type").flatMap(parseKind);
  const ids = valuesOf("id").map((id) => id.replace(/^sha256:/, ""));
  return {
    ...(all && { all }),
    ...(times.length > 0 && { usedBefore: Math.min(...times) }),
    ...(kinds.length > 0 && { kinds }),
    ...(ids.length > 0 && { ids }),
    ...(size !== undefined && { maxBytes: parseSize(size, "--max-used-space") }),
  };
}

const FILTERS = ["until", "type", "id"];

function splitFilter(text: string): readonly [name: string, value: string] {
  const [, name = "", value] = /^([a-z]+)=(.+)$/.exec(text) ?? [];
  if (value !== undefined && FILTERS.includes(name)) return [name, value];
  throw new BuildError("option-invalid", `Cannot use "${text}" for --filter: there is no such filter`, {
    hint: "The filters are until=DURATION, type=KIND and id=ID",
  });
}

/** docker's words for what our kinds are. */
const DOCKER_KINDS: Readonly<Record<string, readonly StoreItem["kind"][]>> = {
  regular: ["step-layer", "image-layer"],
  "exec.cachemount": ["cache-mount"],
  "source.git.checkout": ["git"],
};

function parseKind(text: string): readonly StoreItem["kind"][] {
  const own = Object.keys(ITEM_KINDS).filter((kind) => kind === text) as StoreItem["kind"][];
  const kinds = DOCKER_KINDS[text] ?? own;
  if (kinds.length > 0) return kinds;
  const names = [...Object.keys(ITEM_KINDS), ...Object.keys(DOCKER_KINDS)];
  throw new BuildError("option-invalid", `Cannot use "type=${text}" for --filter: there is no such kind`, {
    hint: hintNearest(text, names) ?? `Kinds are ${names.join(", ")}`,
  });
}
