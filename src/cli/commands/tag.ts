import type { Command } from "commander";
import { addTag } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { withSession } from "../with-session.ts";

export function defineTag(command: Command, context: CommandContext): void {
  command
    .argument("<source>", "a name or an image id")
    .argument("<name>", "the new name")
    .usage("SOURCE NAME[:TAG]")
    .action(async (source: string, name: string) => {
      await withSession(context, async (session) => addTag(session, source, name));
    });
}
