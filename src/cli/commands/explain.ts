import type { Command } from "commander";
import type { KeyChange } from "../../cache/explain-miss.ts";
import { formatChanges } from "../../cache/format-changes.ts";
import { listBuildSteps, type StoredBuild, type StoredBuildStep } from "../../store/builds.ts";
import type { CommandContext } from "../command-context.ts";
import { findBuild } from "../find-build.ts";
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
      const text = await withSession(context, async ({ access: { store } }) => {
        const build = findBuild(store, id, { verb: "explain", prefer: "ended" });
        const steps = listBuildSteps(store, build.id);
        return isJson ? buildJson(build, steps) : buildText(build, steps, verbose === true);
      });
      context.stdout.write(text);
    });
}

function buildText(build: StoredBuild, steps: readonly StoredBuildStep[], isVerbose: boolean): string {
  const head = `Build ${build.id}, ${formatAge(Date.now() - build.created)} ago${build.outcome === "done" ? "" : `, ${build.outcome}`}\n\n`;
  const lines = steps.map(({ name, stage, outcome, changes }) => {
    const list = JSON.parse(changes) as readonly KeyChange[];
    const filesShown = isVerbose ? Number.POSITIVE_INFINITY : undefined;
    const why = list.length === 0 ? "" : `: ${formatChanges(list, { filesShown })}`;
    return `${outcome.toUpperCase().padEnd(6)} ${/^\d*$/.test(stage) ? "" : `[${stage}] `}${name}${why}\n`;
  });
  return head + lines.join("");
}

function buildJson(build: StoredBuild, steps: readonly StoredBuildStep[]): string {
  const shown = {
    id: build.id,
    created: new Date(build.created).toISOString(),
    outcome: build.outcome,
    steps: steps.map(({ stage, name, outcome, key, parts, changes }) => ({
      stage,
      name,
      outcome,
      key,
      parts: JSON.parse(parts),
      changes: JSON.parse(changes),
    })),
  };
  return `${JSON.stringify(shown, undefined, 2)}\n`;
}
