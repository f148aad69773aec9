import type { Command } from "commander";
import { familiarName, parseImageReference } from "../../oci/reference.ts";
import { listContainers, type StoredContainer } from "../../store/containers.ts";
import { listTags } from "../../store/images.ts";
import type { Store } from "../../store/open-store.ts";
import type { CommandContext } from "../command-context.ts";
import { formatAge } from "../format-age.ts";
import { formatTable } from "../format-table.ts";
import { shortId } from "../image-rows.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { withSession } from "../with-session.ts";

interface ListOptions {
  readonly quiet?: true;
  readonly noTrunc?: true;
  readonly format?: string;
}

export function defineContainerLs(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS]")
    .addOption(makeOption("-a, --all", "all containers (they always are)", { isHidden: true }))
    .addOption(makeOption("-q, --quiet", "only the ids"))
    .addOption(makeOption("--no-trunc", "whole ids"))
    .addOption(makeOption("--format <format>", "table, or json for one object a line"))
    .action(async (options: ListOptions) => {
      const isJson = parseListFormat(options.format) === "json";
      const rows = await withSession(context, async ({ access: { store } }) =>
        listContainers(store).map((container) => describe(store, container, options)),
      );
      context.stdout.write(
        options.quiet
          ? rows.map(({ ID }) => `${ID}\n`).join("")
          : isJson
            ? rows.map((row) => `${JSON.stringify(row)}\n`).join("")
            : formatTable([
                ["CONTAINER ID", "IMAGE", "CREATED", "STATUS", "NAMES"],
                ...rows.map((row) => [row.ID, row.Image, row.CreatedSince, row.Status, row.Names]),
              ]),
      );
    });
}

function describe(store: Store, { id, name, configDigest, created }: StoredContainer, options: ListOptions) {
  const tag = listTags(store).find((one) => one.configDigest === configDigest);
  return {
    CreatedAt: new Date(created).toISOString(),
    CreatedSince: `${formatAge(Date.now() - created)} ago`,
    ID: options.noTrunc ? id : id.slice(0, 12),
    Image: tag === undefined ? shortId(configDigest) : familiarName(parseImageReference(tag.name)),
    Names: name,
    State: "created",
    Status: "Created",
  };
}
