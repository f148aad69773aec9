import type { Command } from "commander";
import { removeContainer } from "../../store/containers.ts";
import type { CommandContext } from "../command-context.ts";
import { findNamedContainer } from "../find-container.ts";
import { makeOption } from "../make-option.ts";
import { runForEach } from "../run-for-each.ts";
import { withSession } from "../with-session.ts";

export function defineContainerRm(command: Command, context: CommandContext): void {
  command
    .argument("<containers...>", "names or ids")
    .usage("[OPTIONS] CONTAINER...")
    .addOption(makeOption("-f, --force", "do not mind containers that are not there"))
    .addOption(makeOption("-v, --volumes", "has no effect: there are none", { isHidden: true }))
    .action(async (names: readonly string[], options: { readonly force?: true }) => {
      await withSession(context, ({ access: { store } }) =>
        runForEach(names, context, async (name) => {
          const container = findNamedContainer(store, name, { mayBeMissing: options.force === true });
          if (container === undefined) return;
          removeContainer(store, container.id);
          context.stdout.write(`${name}\n`);
        }),
      );
    });
}
