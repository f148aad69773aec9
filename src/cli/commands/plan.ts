import type { Command } from "commander";
import { formatChanges, type PredictedStep, predictBuild } from "../../index.ts";
import { addBuildOptions } from "../add-build-options.ts";
import type { BuildFlags } from "../build-flags.ts";
import type { CommandContext } from "../command-context.ts";
import { makeOption } from "../make-option.ts";
import { parseListFormat } from "../parse-list-format.ts";
import { readBuildFlags } from "../read-build-flags.ts";
import { tellNotes } from "../tell-notes.ts";

const HELP = `
Nothing is built. Images are resolved as by a build, URLs and repositories asked, the context's files hashed;
what is to be looked up behind a RUN that will run is unknown.
`;

/** What decides what comes from the cache. */
const SHOWN = [
  ...["--file", "--target", "--build-arg", "--build-arg-file", "--ignorefile", "--build-context"],
  ...["--platform", "--pull", "--source-date-epoch", "--no-cache", "--no-cache-filter", "--cache-ttl"],
  ...["--network", "--add-host", "--shm-size", "--ulimit"],
];

export function definePlan(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS] DIRECTORY | URL | -")
    .argument("<context>", "the build context")
    .addHelpText("after", HELP)
    .addOption(makeOption("--verbose", "all files that changed, not only the first ten"))
    .addOption(makeOption("--format <format>", "table, or json"));
  addBuildOptions(command, { shown: SHOWN, left: ["--check", "--call", "--explain"] });
  command.action(async (directory: string, flags: PlanFlags) => {
    const isJson = parseListFormat(flags.format) === "json";
    const options = await readBuildFlags(directory, flags, context);
    const steps = await predictBuild({ ...options, emit: tellNotes(context) });
    context.stdout.write(
      isJson ? `${JSON.stringify({ steps: steps.map(stepJson) }, undefined, 2)}\n` : formatPlan(steps, flags),
    );
  });
}

interface PlanFlags extends BuildFlags {
  readonly format?: string;
  readonly verbose?: true;
}

function stepJson({ parts, ...step }: PredictedStep) {
  return { ...step, ...(parts !== undefined && { parts: JSON.parse(parts) }) };
}

const WORDS = { hit: "hit", run: "will run", unknown: "unknown" } as const;

function formatPlan(steps: readonly PredictedStep[], { verbose }: PlanFlags): string {
  const filesShown = verbose ? Number.POSITIVE_INFINITY : undefined;
  const hasPlatforms = new Set(steps.map(({ platform }) => platform)).size > 1;
  const lines = steps.map(({ stage, name, platform, outcome, changes, dependsOn }) => {
    const place = [hasPlatforms && platform, !/^\d*$/.test(stage) && stage].filter(Boolean).join(" ");
    const why = dependsOn === undefined ? formatChanges(changes, { filesShown }) : `depends on ${dependsOn}`;
    return `${WORDS[outcome].padEnd(9)} ${place && `[${place}] `}${name}${why && `: ${why}`}\n`;
  });
  return `${lines.join("")}\n${countOutcomes(steps)}\n`;
}

/** `5 steps: 3 hits, 1 will run, 1 unknown`. */
function countOutcomes(steps: readonly PredictedStep[]): string {
  const count = (wanted: PredictedStep["outcome"]) =>
    steps.filter(({ outcome }) => outcome === wanted).length;
  const [hits, runs, unknown] = [count("hit"), count("run"), count("unknown")];
  const parts = [
    hits > 0 && (hits === 1 ? "1 hit" : `${hits} hits`),
    runs > 0 && `${runs} will run`,
    unknown > 0 && `${unknown} unknown`,
  ].filter(Boolean);
  return `${steps.length === 1 ? "1 step" : `${steps.length} steps`}${parts.length === 0 ? "" : `: ${parts.join(", ")}`}`;
}
