import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import { pruneImages } from "../../index.ts";
import { askOnTerminal } from "../ask-on-terminal.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { parseImageFilters } from "../parse-image-filters.ts";
import { withSession } from "../with-session.ts";

interface PruneImagesOptions {
  readonly all?: true;
  readonly force?: true;
  readonly filter: readonly string[];
}

const HELP = `
Their layers stay in the cache, which slipway prune empties.
`;

export function definePruneImages(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS]")
    .addOption(makeOption("-a, --all", "also those with a name, unless a container stands on them"))
    .addOption(makeOption("-f, --force", "do not ask"))
    .addOption(
      makeOption("--filter <filter>", "dangling=, label=, before=, since=, reference= or until=", {
        isRepeatable: true,
      }),
    )
    .addHelpText("after", HELP)
    .action(async (options: PruneImagesOptions) => {
      const { isDangling, ...filters } = parseImageFilters(options.filter);
      const all = options.all ?? isDangling === false;
      if (!options.force && !(await isConfirmed(context, all))) return;
      const removed = await withSession(context, (session) => pruneImages(session, { ...filters, all }));
      // In docker's words.
      const lines = removed.flatMap(({ untagged, deleted }) => [
        ...untagged.map((name) => `untagged: ${name}\n`),
        ...deleted.map((id) => `deleted: ${id}\n`),
      ]);
      if (lines.length > 0) context.stdout.write(`Deleted Images:\n${lines.join("")}\n`);
      // DIFFERS: docker's last line, for those who read it; here the layers stay in the cache.
      context.stdout.write("Total reclaimed space: 0B\n");
    });
}

async function isConfirmed(context: CommandContext, isAll: boolean): Promise<boolean> {
  if (!context.stdin.isTTY) {
    throw new BuildError("option-invalid", "Cannot ask whether to remove images: stdin is not a terminal", {
      hint: "Add --force",
    });
  }
  const which = isAll ? "that no container stands on" : "without a name";
  const answer = await askOnTerminal(context, `Remove all images ${which}? [y/N] `);
  return /^y(?:es)?$/i.test(answer?.trim() ?? "");
}
