import type { Command } from "commander";
import { formatImageReference, parseImageReference } from "../../oci/reference.ts";
import { formatSize } from "../../progress/format-size.ts";
import { hasWildcard } from "../../rootfs/match-glob.ts";
import type { CommandContext } from "../command-context.ts";
import { filterImages, matchesReference, parseImageFilter } from "../filter-images.ts";
import { formatAge } from "../format-age.ts";
import { makeRowsFormatter } from "../format-rows.ts";
import { formatGoTime } from "../format-time.ts";
import { type ImageRow, listImageRows, NO_NAME, shortId } from "../image-rows.ts";
import { makeOption } from "../make-option.ts";
import { hide } from "../template/go-value.ts";
import { withSession } from "../with-session.ts";

interface ImagesOptions {
  readonly quiet?: true;
  readonly noTrunc?: true;
  readonly digests?: true;
  readonly filter: readonly string[];
  readonly format?: string;
}

const HEADINGS = {
  ID: "IMAGE ID",
  Repository: "REPOSITORY",
  Tag: "TAG",
  Digest: "DIGEST",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  Size: "SIZE",
  Platform: "PLATFORM",
  Containers: "CONTAINERS",
  SharedSize: "SHARED SIZE",
  UniqueSize: "UNIQUE SIZE",
  VirtualSize: "SIZE",
};

export function defineImages(command: Command, context: CommandContext): void {
  command
    .argument("[name]", "only this repository, or REPOSITORY:TAG; may have * and ?")
    .usage("[OPTIONS] [REPOSITORY[:TAG]]")
    .addOption(makeOption("-a, --all", "all images (they always are)", { isHidden: true }))
    .addOption(makeOption("-q, --quiet", "only the ids"))
    .addOption(makeOption("--no-trunc", "whole ids"))
    .addOption(makeOption("--digests", "the manifests' digests too"))
    .addOption(
      makeOption("-f, --filter <filter>", "dangling=, label=, before=, since=, reference= or until=", {
        isRepeatable: true,
      }),
    )
    .addOption(makeOption("--format <format>", 'table, json, or a template like "{{.ID}} {{.Size}}"'))
    .action(async (name: string | undefined, options: ImagesOptions) => {
      const filters = options.filter.map(parseImageFilter);
      const format = makeFormatter(options);
      const rows = await withSession(context, async ({ access }) =>
        filterImages(access, await listImageRows(access), filters),
      );
      const chosen = name === undefined ? rows : rows.filter(matches(name));
      context.stdout.write(format(chosen, options));
    });
}

function makeFormatter(
  options: ImagesOptions,
): (rows: readonly ImageRow[], options: ImagesOptions) => string {
  // An explicit template counts more than -q, as docker has it.
  if (options.quiet && (options.format === undefined || options.format === "table")) return formatIds;
  const digest = options.digests ? "\t{{.Digest}}" : "";
  const format = makeRowsFormatter(options.format, {
    columns: `{{.Repository}}\t{{.Tag}}${digest}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}`,
    headings: HEADINGS,
  });
  return (rows) => format(rows.map((row) => describe(row, options)));
}

function matches(name: string): (row: ImageRow) => boolean {
  if (hasWildcard(name)) return (row) => matchesReference(row, name);
  const hasTag = /:[^/]*$/.test(name);
  const wanted = formatImageReference(parseImageReference(name));
  return ({ repository, tag }) => {
    if (repository === NO_NAME || tag === NO_NAME) return false;
    const shown = parseImageReference(`${repository}:${hasTag ? tag : "latest"}`);
    return formatImageReference(shown) === wanted;
  };
}

function formatIds(rows: readonly ImageRow[], options: ImagesOptions): string {
  return [...new Set(rows.map((row) => `${showId(row, options)}\n`))].join("");
}

function describe(row: ImageRow, options: ImagesOptions): object {
  const size = formatSize(row.sizeBytes);
  const described = {
    Containers: "N/A",
    CreatedAt: formatGoTime(row.image.created),
    CreatedSince: `${formatAge(Date.now() - row.image.created)} ago`,
    Digest: row.digest,
    ID: showId(row, options),
    Platform: row.image.platform,
    Repository: row.repository,
    SharedSize: "N/A",
    Size: size,
    SizeBytes: row.sizeBytes,
    Tag: row.tag,
    UniqueSize: "N/A",
  };
  hide(described, "VirtualSize", size);
  return described;
}

function showId({ image }: ImageRow, options: ImagesOptions): string {
  return options.noTrunc ? image.configDigest : shortId(image.configDigest);
}
