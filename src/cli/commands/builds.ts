import type { Command } from "commander";
import { BuildError } from "../../errors/build-error.ts";
import {
  listBuildSteps,
  listBuilds,
  removeBuild,
  type StoredBuild,
  type StoredBuildStep,
} from "../../store/builds.ts";
import type { Store } from "../../store/open-store.ts";
import { cleanLine } from "../clean-line.ts";
import type { CommandContext } from "../command-context.ts";
import { findBuild } from "../find-build.ts";
import { formatAge } from "../format-age.ts";
import { formatTable } from "../format-table.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { printBuildLogs } from "../print-build-logs.ts";
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
  const withStore = <T>(work: (store: Store) => T | Promise<T>) =>
    withSession(context, async ({ access }) => work(access.store));
  command
    .command("ls")
    .description("List the builds that are remembered, the newest first.")
    .addOption(makeOption("--format <format>", "table, or json for one object a build and line"))
    .action(async ({ format }: FormatFlags) => {
      const isJson = parseListFormat(format) === "json";
      const rows = await withStore((store) =>
        listBuilds(store).map((build) => ({ build, steps: listBuildSteps(store, build.id) })),
      );
      const text = isJson
        ? rows.map(({ build, steps }) => `${JSON.stringify(buildJson(build, steps))}\n`).join("")
        : formatTable([
            ["BUILD", "CREATED", "OUTCOME", "DURATION", "STEPS", "CACHED"],
            ...rows.map(({ build, steps }) => tableRow(build, steps)),
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
      const text = await withStore((store) => {
        const build = findBuild(store, id, { verb: "show", prefer: "ended" });
        const steps = listBuildSteps(store, build.id);
        if (!isJson) return showBuild(build, steps);
        return `${JSON.stringify({ ...buildJson(build, steps), Steps: steps.map((step) => stepJson(build, step)) }, undefined, 2)}\n`;
      });
      context.stdout.write(text);
    });
  command
    .command("logs")
    .description("Print what the steps of a build printed; every line begins with the number of its step.")
    .argument("[build]", "its id, or the beginning of it (default: one that runs, else the last)")
    .addOption(makeOption("-f, --follow", "go on until the build ends"))
    .action(async (id: string | undefined, { follow }: { readonly follow?: true }) => {
      const outcome = await withStore((store) => {
        const build = findBuild(store, id, { verb: "print the logs of", prefer: "running" });
        const { signal, stdout } = context;
        return printBuildLogs(store, build, {
          signal,
          isFollowing: follow === true,
          write: (text) => stdout.write(text),
        });
      });
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
      const removed = await withStore((store) => forgetBuilds(store, ids, all === true));
      context.stdout.write(removed.map((id) => `${id}\n`).join(""));
    });
}

function forgetBuilds(store: Store, ids: readonly string[], isAll: boolean): string[] {
  const builds = isAll
    ? listBuilds(store).filter(({ outcome }) => outcome !== "running")
    : ids.map((id) => findBuild(store, id, { verb: "forget", prefer: "ended" }));
  for (const { id, outcome } of builds) {
    if (outcome === "running") {
      throw new BuildError("option-invalid", `Cannot forget the build "${id}": it is running`);
    }
  }
  for (const { id } of builds) removeBuild(store, id);
  return builds.map(({ id }) => id);
}

function tableRow(build: StoredBuild, steps: readonly StoredBuildStep[]): string[] {
  const age = `${formatAge(Date.now() - build.created)} ago`;
  return [
    build.id,
    age,
    build.outcome,
    duration(build.created, build.ended),
    String(steps.length),
    String(countCached(steps)),
  ];
}

function showBuild(build: StoredBuild, steps: readonly StoredBuildStep[]): string {
  const took = duration(build.created, build.ended);
  const head = `Build ${build.id}, ${formatAge(Date.now() - build.created)} ago, ${build.outcome}${took && `, ${took}`}\n\n`;
  return (
    head +
    formatTable([
      ["STEP", "OUTCOME", "TIME", "RESULT", "INSTRUCTION"],
      ...steps.map(({ number, stage, name, outcome, started, ended, recordId }) => [
        String(number),
        describeOutcome(build, outcome),
        outcome === "hit" ? "" : duration(started, ended),
        (recordId ?? "").slice(0, 8),
        `${/^\d*$/.test(stage) ? "" : `[${stage}] `}${cleanLine(name.replace(/\s+/g, " ")).slice(0, 80)}`,
      ]),
    ])
  );
}

function buildJson({ id, created, ended, outcome }: StoredBuild, steps: readonly StoredBuildStep[]) {
  return {
    ID: id,
    CreatedAt: new Date(created).toISOString(),
    ...(ended !== null && { EndedAt: new Date(ended).toISOString() }),
    Outcome: outcome,
    StepCount: steps.length,
    CachedCount: countCached(steps),
  };
}

function describeOutcome(build: StoredBuild, outcome: StoredBuildStep["outcome"]): string {
  if (outcome === "running" && build.outcome === "killed") return "killed";
  return outcome === "hit" ? "cached" : outcome === "miss" ? "done" : outcome;
}

function stepJson(build: StoredBuild, step: StoredBuildStep) {
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

function countCached(steps: readonly StoredBuildStep[]): number {
  return steps.filter(({ outcome }) => outcome === "hit" || outcome === "shared").length;
}

function duration(from: number | null, to: number | null): string {
  return from === null || to === null ? "" : `${((to - from) / 1000).toFixed(1)}s`;
}
