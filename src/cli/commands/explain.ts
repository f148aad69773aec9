import type { Command } from "commander";
import { formatChanges, type RememberedBuild, readBuild } from "../../index.ts";
import type { CommandContext } from "../command-context.ts";
import { formatAge } from "../format-age.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { withSession } from "../with-session.ts";

interface ExplainFlags {
  readonly verbose?: true;
  readonly format?: string;
}

export function defineExplain(command: Command, context: CommandContext): void {
  command
    .argument("[build]", "its id, or the beginning of it (default: the last one)")
    .usage("[OPTIONS] [BUILD]")
    .addHelpText("after", '\n"slipway history ls" lists the builds that are remembered.\n')
    .addOption(makeOption("-v, --verbose", "all files that changed, not only the first ten"))
    .addOption(makeOption("--format <format>", "table, or json"))
    .action(async (id: string | undefined, { verbose, format }: ExplainFlags) => {
      const isJson = parseListFormat(format) === "json";
      const build = await withSession(context, async (session) => readBuild(session, id));
      context.stdout.write(isJson ? buildJson(build) : buildText(build, verbose === true));
    });
}

function buildText(build: RememberedBuild, isVerbose: boolean): string {
  const head = `Build ${build.id}, ${formatAge(Date.now() - build.created)} ago${build.outcome === "done" ? "" : `, ${build.outcome}`}\n\n`;
  const lines = build.steps.map(({ name, stage, outcome, changes }) => {
    const filesShown = isVerbose ? Number.POSITIVE_INFINITY : undefined;
    const why = changes.length === 0 ? "" : `: ${formatChanges(changes, { filesShown })}`;
    return `${outcome.toUpperCase().padEnd(6)} ${/^\d*$/.test(stage) ? "" : `[${stage}] `}${name}${why}\n`;
  });
  return head + lines.join("");
}

function buildJson(build: RememberedBuild): string {
  const shown = {
    id: build.id,
    created: new Date(build.created).toISOString(),
    outcome: build.outcome,
    steps: build.steps.map(({ stage, name, outcome, key, parts, changes }) => ({
      stage,
      name,
      outcome,
      key,
      parts,
      changes,
    })),
  };
  return `${JSON.stringify(shown, undefined, 2)}\n`;
}
