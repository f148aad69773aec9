import type { Command } from "commander";
import { formatImageReference, parseImageReference } from "../../oci/reference.ts";
import { formatSize } from "../../progress/format-size.ts";
import type { CommandContext } from "../command-context.ts";
import { formatAge } from "../format-age.ts";
import { formatTable } from "../format-table.ts";
import { type ImageRow, listImageRows, shortId } from "../image-rows.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { withSession } from "../with-session.ts";

interface ImagesOptions {
  readonly quiet?: true;
  readonly noTrunc?: true;
  readonly digests?: true;
  readonly format?: string;
}

export function defineImages(command: Command, context: CommandContext): void {
  command
    .argument("[name]", "only this repository, or REPOSITORY:TAG")
    .usage("[OPTIONS] [REPOSITORY[:TAG]]")
    .addOption(makeOption("-a, --all", "all images (they always are)", { isHidden: true }))
    .addOption(makeOption("-q, --quiet", "only the ids"))
    .addOption(makeOption("--no-trunc", "whole ids"))
    .addOption(makeOption("--digests", "the manifests' digests too"))
    .addOption(makeOption("--format <format>", "table, or json for one object a line"))
    .action(async (name: string | undefined, options: ImagesOptions) => {
      const isJson = parseListFormat(options.format) === "json";
      const rows = await withSession(context, ({ access }) => listImageRows(access));
      const chosen = name === undefined ? rows : rows.filter(matches(name));
      context.stdout.write(
        options.quiet
          ? formatIds(chosen, options)
          : isJson
            ? formatJson(chosen, options)
            : formatRows(chosen, options),
      );
    });
}

function matches(name: string): (row: ImageRow) => boolean {
  const hasTag = /:[^/]*$/.test(name);
  const wanted = formatImageReference(parseImageReference(name));
  return ({ repository, tag }) => {
    if (repository === "<none>" || tag === "<none>") return false;
    const shown = parseImageReference(`${repository}:${hasTag ? tag : "latest"}`);
    return formatImageReference(shown) === wanted;
  };
}

function formatIds(rows: readonly ImageRow[], options: ImagesOptions): string {
  return [...new Set(rows.map((row) => `${showId(row, options)}\n`))].join("");
}

function formatRows(rows: readonly ImageRow[], options: ImagesOptions): string {
  const digest = (text: string) => (options.digests ? [text] : []);
  return formatTable([
    ["REPOSITORY", "TAG", ...digest("DIGEST"), "IMAGE ID", "CREATED", "SIZE"],
    ...rows.map((row) => [
      row.repository,
      row.tag,
      ...digest(row.digest),
      showId(row, options),
      `${formatAge(Date.now() - row.image.created)} ago`,
      formatSize(row.sizeBytes),
    ]),
  ]);
}

function formatJson(rows: readonly ImageRow[], options: ImagesOptions): string {
  return rows
    .map((row) => ({
      CreatedAt: new Date(row.image.created).toISOString(),
      CreatedSince: `${formatAge(Date.now() - row.image.created)} ago`,
      Digest: row.digest,
      ID: showId(row, options),
      Platform: row.image.platform,
      Repository: row.repository,
      Size: formatSize(row.sizeBytes),
      SizeBytes: row.sizeBytes,
      Tag: row.tag,
    }))
    .map((row) => `${JSON.stringify(row)}\n`)
    .join("");
}

function showId({ image }: ImageRow, options: ImagesOptions): string {
  return options.noTrunc ? image.configDigest : shortId(image.configDigest);
}
