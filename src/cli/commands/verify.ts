import type { Command } from "commander";
import { verifyStore } from "../../index.ts";
import { type CommandContext, FAILURE_STATUS } from "../command-context.ts";
import { formatTable } from "../format-table.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { withSession } from "../with-session.ts";

interface VerifyFlags {
  readonly repair?: true;
  readonly format?: string;
}

const HELP = `
Exit status: 0 when all is well, 1 when something was bad, also when --repair dropped it.
`;

export function defineVerify(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS]")
    .addOption(makeOption("--repair", "drop what is bad: it is made or fetched again when it is needed"))
    .addOption(makeOption("--format <format>", "table, or json for one object a line"))
    .addHelpText("after", HELP)
    .action(async ({ repair, format }: VerifyFlags) => {
      const isJson = parseListFormat(format) === "json";
      const problems = await withSession(context, (session) => verifyStore(session, { repair }));
      if (problems.length > 0) context.setStatus(FAILURE_STATUS);
      if (isJson) {
        const rows = problems.map(({ kind, id, what }) => ({
          Kind: kind,
          ID: id,
          Problem: what,
          Dropped: repair === true,
        }));
        for (const row of rows) context.stdout.write(`${JSON.stringify(row)}\n`);
        return;
      }
      if (problems.length === 0) {
        context.stdout.write("The store is well\n");
        return;
      }
      context.stdout.write(
        formatTable([["KIND", "ID", "PROBLEM"], ...problems.map(({ kind, id, what }) => [kind, id, what])]),
      );
      context.stdout.write(
        repair
          ? `\nDropped: ${problems.length}\n`
          : `\nBad: ${problems.length}; "slipway verify --repair" drops it\n`,
      );
    });
}
