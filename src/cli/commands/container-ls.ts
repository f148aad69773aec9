import type { Command } from "commander";
import { type Container, listContainers } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { formatAge } from "../format-age.ts";
import { makeRowsFormatter } from "../format-rows.ts";
import { makeOption } from "../make-option.ts";
import { shortId } from "../short-id.ts";
import { withSession } from "../with-session.ts";

interface ListOptions {
  readonly quiet?: true;
  readonly noTrunc?: true;
  readonly format?: string;
}

const COLUMNS = "{{.ID}}\t{{.Image}}\t{{.CreatedSince}}\t{{.Status}}\t{{.Names}}";

const HEADINGS = {
  ID: "CONTAINER ID",
  Image: "IMAGE",
  CreatedAt: "CREATED AT",
  CreatedSince: "CREATED",
  Names: "NAMES",
  State: "STATE",
  Status: "STATUS",
};

export function defineContainerLs(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS]")
    .addOption(makeOption("-a, --all", "all containers (they always are)", { isHidden: true }))
    .addOption(makeOption("-q, --quiet", "only the ids"))
    .addOption(makeOption("--no-trunc", "whole ids"))
    .addOption(makeOption("--format <format>", 'table, json, or a template like "{{.ID}} {{.Names}}"'))
    .action(async (options: ListOptions) => {
      const format = makeRowsFormatter(options.format, { columns: COLUMNS, headings: HEADINGS });
      const isQuiet = options.quiet && (options.format === undefined || options.format === "table");
      const rows = await withSession(context, async (session) =>
        listContainers(session).map((container) => describe(container, options)),
      );
      context.stdout.write(isQuiet ? rows.map(({ ID }) => `${ID}\n`).join("") : format(rows));
    });
}

function describe({ id, name, configDigest, created, image }: Container, options: ListOptions) {
  return {
    CreatedAt: new Date(created).toISOString(),
    CreatedSince: `${formatAge(Date.now() - created)} ago`,
    ID: options.noTrunc ? id : id.slice(0, 12),
    Image: image ?? shortId(configDigest),
    Names: name,
    State: "created",
    Status: "Created",
  };
}
