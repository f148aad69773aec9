import type { Command } from "commander";
import { removeContainer } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { runForEach } from "../run-for-each.ts";
import { withSession } from "../with-session.ts";

export function defineContainerRm(command: Command, context: CommandContext): void {
  command
    .argument("<containers...>", "names or ids")
    .usage("[OPTIONS] CONTAINER...")
    .addOption(makeOption("-f, --force", "do not mind containers that are not there"))
    .addOption(makeOption("-v, --volumes", "has no effect: there are none", { isHidden: true }))
    .action(async (names: readonly string[], { force }: { readonly force?: true }) => {
      await withSession(context, (session) =>
        runForEach(names, context, async (name) => {
          if (removeContainer(session, name, { force })) context.stdout.write(`${name}\n`);
        }),
      );
    });
}
