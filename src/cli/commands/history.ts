import type { Command } from "commander";
import type { ImageAccess } from "../../image/image-access.ts";
import type { ImageConfig } from "../../oci/image-config.ts";
import { formatSize } from "../../progress/format-size.ts";
import { readJsonBlob } from "../../store/blobs.ts";
import { findLayerSize } from "../../store/layers.ts";
import type { CommandContext } from "../command-context.ts";
import { findImage } from "../find-image.ts";
import { formatAge } from "../format-age.ts";
import { formatTable } from "../format-table.ts";
import { shortId } from "../image-rows.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { withSession } from "../with-session.ts";

interface HistoryOptions {
  readonly quiet?: true;
  readonly noTrunc?: true;
  readonly format?: string;
}

/** docker's width of CREATED BY. */
const COMMAND_WIDTH = 45;

export function defineHistory(command: Command, context: CommandContext): void {
  command
    .argument("<image>", "a name or an id")
    .usage("[OPTIONS] IMAGE")
    .addOption(makeOption("-q, --quiet", "only the ids"))
    .addOption(makeOption("--no-trunc", "whole commands and ids"))
    .addOption(makeOption("--format <format>", "table, or json for one object a line"))
    .action(async (name: string, options: HistoryOptions) => {
      const isJson = parseListFormat(options.format) === "json";
      const rows = await withSession(context, ({ access }) => listHistory(access, name, options));
      context.stdout.write(
        options.quiet
          ? rows.map(({ ID }) => `${ID}\n`).join("")
          : isJson
            ? rows.map((row) => `${JSON.stringify(row)}\n`).join("")
            : formatTable([
                ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"],
                ...rows.map((row) => [row.ID, row.CreatedSince, row.CreatedBy, row.Size, row.Comment]),
              ]),
      );
    });
}

/** The newest first, as docker has it; only that one has an id. */
async function listHistory({ store, ...access }: ImageAccess, name: string, options: HistoryOptions) {
  const image = findImage({ store, ...access }, name);
  const config = await readJsonBlob<ImageConfig>(store, image.configDigest);
  let layer = 0;
  const rows = (config.history ?? []).map((entry) => {
    const diffId = entry.empty_layer ? undefined : config.rootfs.diff_ids[layer++];
    const sizeBytes = (diffId && findLayerSize(store, diffId)) ?? 0;
    const command = (entry.created_by ?? "").replace(/\s+/g, " ");
    const isLong = !options.noTrunc && command.length > COMMAND_WIDTH;
    return {
      Comment: entry.comment ?? "",
      CreatedAt: entry.created ?? "",
      CreatedBy: isLong ? `${command.slice(0, COMMAND_WIDTH - 1)}…` : command,
      CreatedSince:
        entry.created === undefined ? "N/A" : `${formatAge(Date.now() - Date.parse(entry.created))} ago`,
      ID: "<missing>",
      Size: formatSize(sizeBytes),
      SizeBytes: sizeBytes,
    };
  });
  const last = rows.at(-1);
  if (last !== undefined) last.ID = options.noTrunc ? image.configDigest : shortId(image.configDigest);
  return rows.reverse();
}
