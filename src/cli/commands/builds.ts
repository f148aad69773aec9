import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import {
  forgetBuilds,
  listBuilds,
  type RememberedBuild,
  type RememberedStep,
  readBuild,
  readBuildLogs,
} from "../../index.ts";
import { cleanLogLine } from "../../progress/clean-text.ts";
import { cleanLine } from "../clean-line.ts";
import type { CommandContext } from "../command-context.ts";
import { formatAge } from "../format-age.ts";
import { formatTable } from "../format-table.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { withSession } from "../with-session.ts";

const HELP = `
"slipway history ls", "history show", "history logs" and "history rm" are the same, and so is "slipway logs".
`;

interface FormatFlags {
  readonly format?: string;
}

/** `builds ls|show|logs|rm`: what `docker buildx history` has. */
export function defineBuilds(command: Command, context: CommandContext): void {
  command.usage("COMMAND").helpCommand(false).addHelpText("after", HELP);
  command
    .command("ls")
    .description("List the builds that are remembered, the newest first.")
    .addOption(makeOption("--format <format>", "table, or json for one object a build and line"))
    .action(async ({ format }: FormatFlags) => {
      const isJson = parseListFormat(format) === "json";
      const builds = await withSession(context, async (session) => listBuilds(session));
      const text = isJson
        ? builds.map((build) => `${JSON.stringify(buildJson(build))}\n`).join("")
        : formatTable([
            ["BUILD", "CREATED", "OUTCOME", "DURATION", "STEPS", "CACHED"],
            ...builds.map(tableRow),
          ]);
      context.stdout.write(text);
    });
  command
    .command("show")
    .alias("inspect")
    .description("Show the steps of a build, with times and what the cache did.")
    .argument("[build]", "its id, or the beginning of it (default: the last one)")
    .addOption(makeOption("--format <format>", "table, or json"))
    .action(async (id: string | undefined, { format }: FormatFlags) => {
      const isJson = parseListFormat(format) === "json";
      const build = await withSession(context, async (session) => readBuild(session, id));
      const json = { ...buildJson(build), Steps: build.steps.map((step) => stepJson(build, step)) };
      context.stdout.write(isJson ? `${JSON.stringify(json, undefined, 2)}\n` : showBuild(build));
    });
  command
    .command("logs")
    .description("Print what the steps of a build printed; every line begins with the number of its step.")
    .argument("[build]", "its id, or the beginning of it (default: one that runs, else the last)")
    .addOption(makeOption("-f, --follow", "go on until the build ends"))
    .action(async (id: string | undefined, { follow }: { readonly follow?: true }) => {
      const onLines = makeLogPrinter((text) => context.stdout.write(text));
      const outcome = await withSession(context, (session) =>
        readBuildLogs(session, id, { follow, onLines }),
      );
      if (follow && outcome === "killed") context.stderr.write("The build was killed\n");
    });
  command
    .command("rm")
    .description("Forget builds. What they made stays.")
    .argument("[builds...]", "their ids, or the beginnings of them")
    .addOption(makeOption("-a, --all", "all but those that run"))
    .action(async (ids: readonly string[], { all }: { readonly all?: true }) => {
      if (!all && ids.length === 0) {
        throw new BuildError("option-invalid", "Cannot forget a build: none is named", {
          hint: "Name one, or use --all",
        });
      }
      const removed = await withSession(context, async (session) =>
        forgetBuilds(session, all ? undefined : ids),
      );
      context.stdout.write(removed.map((id) => `${id}\n`).join(""));
    });
}

/** Every line begins with the number of its step. */
function makeLogPrinter(write: (text: string) => unknown): Parameters<typeof readBuildLogs>[2]["onLines"] {
  let current: number | undefined;
  return ({ number, stage, name }, lines) => {
    const header = current === number ? "" : `#${number} ${stage === "" ? "" : `[${stage}] `}${name}\n`;
    write(`${header}${lines.map((line) => `#${number} ${cleanLogLine(line)}\n`).join("")}`);
    current = number;
  };
}

function tableRow(build: RememberedBuild): string[] {
  const age = `${formatAge(Date.now() - build.created)} ago`;
  return [
    build.id,
    age,
    build.outcome,
    duration(build.created, build.ended),
    String(build.steps.length),
    String(countCached(build)),
  ];
}

function showBuild(build: RememberedBuild): string {
  const took = duration(build.created, build.ended);
  const head = `Build ${build.id}, ${formatAge(Date.now() - build.created)} ago, ${build.outcome}${took && `, ${took}`}\n\n`;
  return (
    head +
    formatTable([
      ["STEP", "OUTCOME", "TIME", "RESULT", "INSTRUCTION"],
      ...build.steps.map(({ number, stage, name, outcome, started, ended, recordId }) => [
        String(number),
        describeOutcome(build, outcome),
        outcome === "hit" ? "" : duration(started, ended),
        (recordId ?? "").slice(0, 8),
        `${/^\d*$/.test(stage) ? "" : `[${stage}] `}${cleanLine(name.replace(/\s+/g, " ")).slice(0, 80)}`,
      ]),
    ])
  );
}

function buildJson(build: RememberedBuild) {
  const { id, created, ended, outcome, steps } = build;
  return {
    ID: id,
    CreatedAt: new Date(created).toISOString(),
    ...(ended !== null && { EndedAt: new Date(ended).toISOString() }),
    Outcome: outcome,
    StepCount: steps.length,
    CachedCount: countCached(build),
  };
}

function describeOutcome(build: RememberedBuild, outcome: RememberedStep["outcome"]): string {
  if (outcome === "running" && build.outcome === "killed") return "killed";
  return outcome === "hit" ? "cached" : outcome === "miss" ? "done" : outcome;
}

function stepJson(build: RememberedBuild, step: RememberedStep) {
  const { number, stage, name, outcome, key, recordId, content, started, ended } = step;
  return {
    Number: number,
    Stage: stage,
    Name: name,
    Outcome: outcome === "running" ? describeOutcome(build, outcome) : outcome,
    ...(started !== null && { StartedAt: new Date(started).toISOString() }),
    ...(ended !== null && { EndedAt: new Date(ended).toISOString() }),
    Key: key,
    ...(recordId !== null && { Record: recordId }),
    ...(content !== null && { Content: content }),
  };
}

function countCached({ steps }: RememberedBuild): number {
  return steps.filter(({ outcome }) => outcome === "hit" || outcome === "shared").length;
}

function duration(from: number | null, to: number | null): string {
  return from === null || to === null ? "" : `${((to - from) / 1000).toFixed(1)}s`;
}
