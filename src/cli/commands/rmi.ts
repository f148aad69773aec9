import type { Command } from "commander";
import { removeImage } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { runForEach } from "../run-for-each.ts";
import { withSession } from "../with-session.ts";

export function defineRmi(command: Command, context: CommandContext): void {
  command
    .argument("<images...>", "names or ids")
    .usage("[OPTIONS] IMAGE...")
    .addOption(
      makeOption(
        "-f, --force",
        "remove all names of an id, and containers that stand on it; do not mind what is not there",
      ),
    )
    .addOption(makeOption("--no-prune", "has no effect", { isHidden: true }))
    .action(async (images: readonly string[], { force }: { readonly force?: true }) => {
      await withSession(context, (session) =>
        runForEach(
          images,
          context,
          async (text) => {
            const { untagged, deleted } = removeImage(session, text, { force });
            const lines = [
              ...untagged.map((name) => `Untagged: ${name}\n`),
              ...deleted.map((id) => `Deleted: ${id}\n`),
            ];
            context.stdout.write(lines.join(""));
          },
          // As docker has it: what is not there is told, and no failure.
          { mayPass: force ? "image-not-found" : undefined },
        ),
      );
    });
}
