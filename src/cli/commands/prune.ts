import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { formatSize } from "../../progress/format-size.ts";
import { type ReclaimOptions, reclaim } from "../../store/reclaim.ts";
import type { CommandContext } from "../command-context.ts";
import { describeItem, ITEM_KINDS } from "../describe-item.ts";
import { formatTable } from "../format-table.ts";
import { makeOption } from "../make-option.ts";
import { parseUntil } from "../parse-until.ts";
import { parseSize } from "../parse-values.ts";
import { withSession } from "../with-session.ts";

interface PruneOptions {
  readonly all?: true;
  readonly filter: readonly string[];
  readonly maxUsedSpace?: string;
  readonly keepStorage?: string;
  readonly verbose?: true;
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
      makeOption("--filter <filter>", "until=24h: only what was last used before that", {
        isRepeatable: true,
      }),
    )
    .addOption(
      makeOption(
        "--max-used-space <size>",
        "the least recently used, until the store takes no more than this",
      ),
    )
    .addOption(makeOption("--keep-storage <size>", "the same as --max-used-space", { isHidden: true }))
    .addOption(makeOption("-v, --verbose", "each part"))
    .addOption(makeOption("-f, --force", "has no effect: nobody is asked", { isHidden: true }))
    .addHelpText("after", HELP)
    .action(async (options: PruneOptions) => {
      const reclaimed = await withSession(context, ({ access }) =>
        reclaim(access.store, { ...readOptions(options), signal: access.signal }),
      );
      const { items, freedBytes } = reclaimed;
      if (items.length > 0) {
        const rows = options.verbose
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
        const head = options.verbose ? ["ID", "KIND", "SIZE", "DESCRIPTION"] : ["KIND", "COUNT", "SIZE"];
        context.stdout.write(`${formatTable([head, ...rows])}\n`);
      }
      context.stdout.write(`Total reclaimed space: ${formatSize(freedBytes)}\n`);
    });
}

function readOptions({ all, filter, maxUsedSpace, keepStorage }: PruneOptions): ReclaimOptions {
  const size = maxUsedSpace ?? keepStorage;
  let usedBefore: number | undefined;
  for (const text of filter) {
    const [, value] = /^until=(.+)$/.exec(text) ?? [];
    if (value === undefined) {
      throw new BuildError("option-invalid", `Cannot use "${text}" for --filter: there is no such filter`, {
        hint: "The filter is until=DURATION",
      });
    }
    usedBefore = Math.min(usedBefore ?? Number.MAX_SAFE_INTEGER, parseUntil(value, Date.now()));
  }
  return {
    ...(all && { all }),
    ...(usedBefore !== undefined && { usedBefore }),
    ...(size !== undefined && { maxBytes: parseSize(size, "--max-used-space") }),
  };
}
