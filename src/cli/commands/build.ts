import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { explainWrite } from "../../errors/explain-write.ts";
import { type BuildOptions, type BuildResult, build } from "../../index.ts";
import { formatImageReference, parseImageReference } from "../../oci/reference.ts";
import { findCiSystem, formatAnnotation } from "../../progress/ci-marks.ts";
import type { BuildEvent, EventSink } from "../../progress/event.ts";
import { hasColor, makeStyle } from "../../progress/style.ts";
import { type BuildFlags, makeBuildOptions } from "../build-flags.ts";
import { type CommandContext, FAILURE_STATUS } from "../command-context.ts";
import { describeBuild } from "../describe-build.ts";
import { type Finding, formatFindings, type NamedText } from "../format-findings.ts";
import { parseCall } from "../parse-call.ts";
import { readBuildFlags } from "../read-build-flags.ts";
import { locate, nameText, runCall } from "../run-call.ts";
import { shortPath } from "../short-path.ts";
import { parseProgressMode, startProgress } from "../start-progress.ts";
import { tellNotes } from "../tell-notes.ts";
import { startTimeLimit } from "../time-limit.ts";

export function defineBuild(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS] DIRECTORY | URL | -")
    .argument(
      "<context>",
      "the build context: a directory, a git repository, the URL of a tar or Dockerfile, or one on stdin",
    );
  for (const option of makeBuildOptions()) command.addOption(option);
  command.action((directory: string, flags: BuildFlags) => runBuild(directory, flags, context));
}

/** Builds, or answers the question about the build that `--call` asks. */
export async function runBuild(directory: string, flags: BuildFlags, context: CommandContext): Promise<void> {
  const call = parseCall(flags.call, flags.check);
  const mode = flags.quiet
    ? "quiet"
    : flags.progress === undefined
      ? (context.settings().progress ?? parseProgressMode(context.env.BUILDKIT_PROGRESS || "auto"))
      : parseProgressMode(flags.progress);
  const options = await readBuildFlags(directory, flags, context);
  if (call.method !== "build") {
    const emit = mode === "quiet" ? undefined : tellNotes(context);
    await runCall({ ...call, method: call.method }, { ...options, emit }, context);
    return;
  }
  using limit = startTimeLimit(flags.timeout, context.signal);
  const progress = await startProgress(context, { mode, verb: "Built" });
  const warnings: Warning[] = [];
  const findings: Finding[] = [];
  let dockerfile: NamedText = { name: "", text: "" };
  const onDockerfile: BuildOptions["onDockerfile"] = (read) => {
    dockerfile = nameText(read);
    options.onDockerfile?.(read);
  };
  const emit: EventSink = (event) => {
    if (event.kind === "warning") warnings.push(event);
    // What the checks find is shown at the end, where it is seen.
    if (
      mode !== "rawjson" &&
      event.kind === "warning" &&
      event.check !== undefined &&
      event.span !== undefined
    ) {
      findings.push({ ...event.check, detail: event.message, span: event.span });
    } else progress.emit(event);
  };
  let result: BuildResult | undefined;
  try {
    result = await build({ ...options, onDockerfile, emit, signal: limit.signal }).result;
  } finally {
    progress.close(result !== undefined);
    const style = makeStyle(hasColor(context.stderr, context.env));
    const text = formatFindings(findings, { dockerfile, isDebug: context.isDebug(), style });
    if (mode !== "quiet" && mode !== "rawjson") context.stderr.write(`${text}${annotate(findings, context)}`);
  }
  await writeFacts(result, flags, { warnings, env: context.env, options });
  const ids = result.images.map(({ configDigest }) => `${configDigest}\n`).join("");
  if (flags.quiet) context.stdout.write(ids);
  else if (mode !== "quiet" && mode !== "rawjson") context.stderr.write(describeBuild(result, options));
  if (result.reproductions !== undefined) await tellReproductions(result.reproductions, context);
}

/** The answer of `--reproduce`, on stdout. What is different is a failure. */
async function tellReproductions(
  reproductions: NonNullable<BuildResult["reproductions"]>,
  context: CommandContext,
): Promise<void> {
  const { describeReproduction } = await import("../describe-reproduction.ts");
  context.stdout.write(reproductions.map(describeReproduction).join(""));
  if (reproductions.some(({ outcome }) => outcome === "different")) context.setStatus(FAILURE_STATUS);
}

/** What the checks found, for a CI system that shows it at its place. */
function annotate(findings: readonly Finding[], { env }: CommandContext): string {
  return findings
    .map(({ rule, detail, span }) =>
      formatAnnotation(findCiSystem(env), {
        level: "warning",
        message: `${rule}: ${detail}`,
        file: shortPath(span.file),
        line: span.startLine,
      }),
    )
    .join("");
}

/** Of `--iidfile` and `--metadata-file`, with buildx's keys. */
async function writeFacts(
  result: BuildResult,
  { iidfile, metadataFile, target }: BuildFlags,
  { warnings, env, options }: FactsContext,
): Promise<void> {
  const { images, root } = result;
  const first = images[0]!;
  const isSingle = images.filter((image) => image.target === first.target).length === 1;
  if (iidfile !== undefined) await writeFact(iidfile, isSingle ? first.configDigest : root!.digest);
  if (metadataFile === undefined) return;
  const names = [
    ...options.tags,
    ...options.outputs.flatMap((output) =>
      "names" in output && (output.target === undefined || output.target === target[0]) ? output.names : [],
    ),
  ];
  const facts = {
    "buildx.build.ref": `slipway/slipway/${randomBytes(16).toString("hex").slice(0, 25)}`,
    ...(/^(?:1|t|true)$/i.test(env.BUILDX_METADATA_WARNINGS ?? "") && {
      "buildx.build.warnings": warnings.map(describeWarning),
    }),
    ...(result.provenance && { "buildx.build.provenance": result.provenance }),
    ...(isSingle && { "containerimage.config.digest": first.configDigest }),
    ...(root && { "containerimage.descriptor": root, "containerimage.digest": root.digest }),
    ...(names.length > 0 && { "image.name": [...new Set(names.map(fullName))].join(",") }),
  };
  await writeFact(metadataFile, `${JSON.stringify(facts, undefined, 2)}\n`);
}

async function writeFact(path: string, text: string): Promise<void> {
  await explainWrite(path, () => writeFile(path, text));
}

type Warning = Extract<BuildEvent, { kind: "warning" }>;

/** BuildKit's form of a warning: texts are bytes. */
function describeWarning({ message, span, check }: Warning) {
  const line = span === undefined ? "" : ` (line ${span.startLine})`;
  const toBase64 = (text: string) => Buffer.from(text).toString("base64");
  return {
    level: 1,
    short: toBase64(check === undefined ? message : `${check.rule}: ${message}${line}`),
    ...(check && { detail: [toBase64(check.description)], url: check.url }),
    ...(span && { range: locate(span).ranges }),
  };
}

interface FactsContext {
  readonly warnings: readonly Warning[];
  readonly env: NodeJS.ProcessEnv;
  readonly options: Awaited<ReturnType<typeof readBuildFlags>>;
}

function fullName(name: string): string {
  return formatImageReference(parseImageReference(name));
}
