import type { Command } from "commander";
import type { CommandContext } from "../command-context.ts";
import { defineContainerCp } from "./container-cp.ts";
import { defineContainerCreate } from "./container-create.ts";
import { defineContainerLs } from "./container-ls.ts";
import { defineContainerRm } from "./container-rm.ts";

export function defineContainer(command: Command, context: CommandContext): void {
  command.usage("COMMAND").helpCommand(false);
  defineContainerCreate(
    command.command("create").description("Name an image's files; nothing runs."),
    context,
  );
  defineContainerCp(command.command("cp").description("Copy files out of a container."), context);
  defineContainerLs(command.command("ls").alias("list").description("List containers."), context);
  defineContainerRm(command.command("rm").alias("remove").description("Remove containers."), context);
}
