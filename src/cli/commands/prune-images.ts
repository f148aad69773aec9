import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import type { ImageAccess } from "../../image/image-access.ts";
import { familiarName, parseImageReference } from "../../oci/reference.ts";
import { listContainers } from "../../store/containers.ts";
import { listTags, removeImage } from "../../store/images.ts";
import { askOnTerminal } from "../ask-on-terminal.ts";
import type { CommandContext } from "../command-context.ts";
import { filterImages, type ImageFilter, parseImageFilter } from "../filter-images.ts";
import { listImageRows, NO_NAME } from "../image-rows.ts";
import { makeOption } from "../make-option.ts";
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
      const filters = options.filter.map(parseImageFilter);
      const isAll =
        options.all || filters.some(({ key, value }) => key === "dangling" && /^[0f]/i.test(value));
      if (!options.force && !(await isConfirmed(context, isAll))) return;
      const lines = await withSession(context, ({ access }) =>
        // With all of them wanted there is no such condition any more.
        removeUnused(access, { isAll, filters: filters.filter(({ key }) => key !== "dangling") }),
      );
      if (lines.length > 0) context.stdout.write(`Deleted Images:\n${lines.join("\n")}\n\n`);
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

/** A line for each name and each image that went, in docker's words. */
async function removeUnused(
  access: ImageAccess,
  { isAll, filters }: { readonly isAll: boolean; readonly filters: readonly ImageFilter[] },
): Promise<string[]> {
  const { store } = access;
  const used = new Set(listContainers(store).map(({ configDigest }) => configDigest));
  const rows = (await listImageRows(access)).filter(
    ({ repository, image }) => (isAll || repository === NO_NAME) && !used.has(image.configDigest),
  );
  const chosen = await filterImages(access, rows, filters);
  const ids = new Set(chosen.map(({ image }) => image.configDigest));
  const names = Map.groupBy(listTags(store), ({ configDigest }) => configDigest);
  const lines: string[] = [];
  for (const id of ids) {
    for (const name of new Set(names.get(id)?.map((tag) => tag.name))) {
      lines.push(`untagged: ${familiarName(parseImageReference(name))}`);
    }
    removeImage(store, id);
    lines.push(`deleted: ${id}`);
  }
  return lines;
}
