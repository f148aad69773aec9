import type { Command } from "commander";
import { type ListedImage, listImages } from "../../index.ts";
import { formatSize } from "../../progress/format-size.ts";
import type { CommandContext } from "../command-context.ts";
import { formatAge } from "../format-age.ts";
import { makeRowsFormatter } from "../format-rows.ts";
import { formatGoTime } from "../format-time.ts";
import { makeOption } from "../make-option.ts";
import { parseImageFilters } from "../parse-image-filters.ts";
import { shortId } from "../short-id.ts";
import { hide } from "../template/go-value.ts";
import { withSession } from "../with-session.ts";

interface ImagesOptions {
  readonly quiet?: true;
  readonly noTrunc?: true;
  readonly digests?: true;
  readonly filter: readonly string[];
  readonly format?: string;
}

/** What docker shows in place of a name. */
const NO_NAME = "<none>";

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
      const filters = parseImageFilters(options.filter);
      const format = makeFormatter(options);
      const images = await withSession(context, (session) => listImages(session, { ...filters, name }));
      context.stdout.write(format(images, options));
    });
}

function makeFormatter(
  options: ImagesOptions,
): (images: readonly ListedImage[], options: ImagesOptions) => string {
  // An explicit template counts more than -q, as docker has it.
  if (options.quiet && (options.format === undefined || options.format === "table")) return formatIds;
  const digest = options.digests ? "\t{{.Digest}}" : "";
  const format = makeRowsFormatter(options.format, {
    columns: `{{.Repository}}\t{{.Tag}}${digest}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}`,
    headings: HEADINGS,
  });
  return (images) => format(images.map((image) => describe(image, options)));
}

function formatIds(images: readonly ListedImage[], options: ImagesOptions): string {
  return [...new Set(images.map((image) => `${showId(image, options)}\n`))].join("");
}

function describe(image: ListedImage, options: ImagesOptions): object {
  const size = formatSize(image.sizeBytes);
  const described = {
    Containers: "N/A",
    CreatedAt: formatGoTime(image.created),
    CreatedSince: `${formatAge(Date.now() - image.created)} ago`,
    Digest: image.digest ?? NO_NAME,
    ID: showId(image, options),
    Platform: image.platform,
    Repository: image.repository ?? NO_NAME,
    SharedSize: "N/A",
    Size: size,
    SizeBytes: image.sizeBytes,
    Tag: image.tag ?? NO_NAME,
    UniqueSize: "N/A",
  };
  hide(described, "VirtualSize", size);
  return described;
}

function showId({ configDigest }: ListedImage, options: ImagesOptions): string {
  return options.noTrunc ? configDigest : shortId(configDigest);
}
