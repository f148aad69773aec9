import type { Command } from "commander";
import { listHistory } from "../../index.ts";
import { formatSize } from "../../progress/format-size.ts";
import { cleanLine } from "../clean-line.ts";
import type { CommandContext } from "../command-context.ts";
import { formatAge } from "../format-age.ts";
import { makeRowsFormatter } from "../format-rows.ts";
import { formatSeconds } from "../format-time.ts";
import { makeOption } from "../make-option.ts";
import { shortId } from "../short-id.ts";
import { withSession } from "../with-session.ts";

interface HistoryOptions {
  readonly quiet?: true;
  readonly noTrunc?: true;
  readonly noHuman?: true;
  readonly format?: string;
  readonly platform?: string;
}

/** docker's width of CREATED BY. */
const COMMAND_WIDTH = 45;

const HEADINGS = {
  ID: "IMAGE",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  CreatedBy: "CREATED BY",
  Size: "SIZE",
  Comment: "COMMENT",
};

export function defineHistory(command: Command, context: CommandContext): void {
  command
    .argument("<image>", "a name or an id")
    .usage("[OPTIONS] IMAGE")
    .addOption(makeOption("-q, --quiet", "only the ids"))
    .addOption(makeOption("--no-trunc", "whole commands and ids"))
    .addOption(
      makeOption("-H, --human", "sizes and times for people (the default; --human=false turns it off)"),
    )
    .addOption(makeOption("--no-human", "the same as --human=false", { isHidden: true }))
    .addOption(makeOption("--platform <platform>", "which one of an image for several"))
    .addOption(makeOption("--format <format>", 'table, json, or a template like "{{.CreatedBy}}"'))
    .action(async (name: string, options: HistoryOptions) => {
      const format = makeRowsFormatter(options.format, {
        columns: `{{.ID}}\t{{.${options.noHuman ? "CreatedAt" : "CreatedSince"}}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}`,
        headings: HEADINGS,
      });
      const isQuiet = options.quiet && (options.format === undefined || options.format === "table");
      const { platform } = options;
      const history = await withSession(context, (session) => listHistory(session, name, { platform }));
      const rows = describeSteps(history, options);
      context.stdout.write(isQuiet ? rows.map(({ ID }) => `${ID}\n`).join("") : format(rows));
    });
}

/** The newest first, as docker has it; only that one has an id. */
function describeSteps({ image, steps }: Awaited<ReturnType<typeof listHistory>>, options: HistoryOptions) {
  const rows = steps.map(({ comment, created, createdBy, sizeBytes }) => ({
    Comment: comment,
    CreatedAt: formatSeconds(created ?? 0),
    CreatedBy: showCommand(createdBy, options),
    CreatedSince: created === undefined ? "N/A" : `${formatAge(Date.now() - created)} ago`,
    ID: "<missing>",
    Size: options.noHuman ? String(sizeBytes) : formatSize(sizeBytes),
    SizeBytes: sizeBytes,
  }));
  const last = rows.at(-1);
  if (last !== undefined) last.ID = options.noTrunc ? image.configDigest : shortId(image.configDigest);
  return rows.reverse();
}

/** On one line, for it may hold a heredoc, and without control characters. */
function showCommand(text: string, { noTrunc }: HistoryOptions): string {
  const command = cleanLine(text.replace(/\s+/g, " "));
  return noTrunc || command.length <= COMMAND_WIDTH ? command : `${command.slice(0, COMMAND_WIDTH - 1)}…`;
}
