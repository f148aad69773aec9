import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { build } from "../../build/build.ts";
import type { BuildResult } from "../../build/build-options.ts";
import { formatImageReference, parseImageReference } from "../../oci/reference.ts";
import type { EventSink } from "../../progress/event.ts";
import { type BuildFlags, makeBuildOptions } from "../build-flags.ts";
import type { CommandContext } from "../command-context.ts";
import { describeBuild } from "../describe-build.ts";
import { readBuildFlags } from "../read-build-flags.ts";
import { parseProgressMode, startProgress } from "../start-progress.ts";

const EXAMPLES = `
Examples:
  slipway build -t app .
  slipway build -t app --target test --build-arg VERSION=1.2 .
  slipway build -t registry.example/app:1 --push .
  slipway build -o type=docker,dest=- . | docker load
`;

export function defineBuild(command: Command, context: CommandContext): void {
  command
    .usage("[OPTIONS] DIRECTORY | URL | -")
    .argument(
      "<context>",
      "the build context: a directory, a git repository, the URL of a tar or Dockerfile, or one on stdin",
    )
    .addHelpText("after", EXAMPLES);
  for (const option of makeBuildOptions()) command.addOption(option);
  command.action((directory: string, flags: BuildFlags) => runBuild(directory, flags, context));
}

async function runBuild(directory: string, flags: BuildFlags, context: CommandContext): Promise<void> {
  const mode = flags.quiet
    ? "quiet"
    : parseProgressMode(flags.progress ?? (context.env.BUILDKIT_PROGRESS || "auto"));
  const options = await readBuildFlags(directory, flags, context);
  const progress = await startProgress(context, { mode, verb: "Built" });
  const warnings: { readonly message: string }[] = [];
  const emit: EventSink = (event) => {
    if (event.kind === "warning") warnings.push({ message: event.message });
    progress.emit(event);
  };
  let result: BuildResult | undefined;
  try {
    result = await build({ ...options, root: context.root(), storeMaxBytes: context.storeMaxBytes(), signal: context.signal, emit });
  } finally {
    progress.close(result !== undefined);
  }
  await writeFacts(result, flags, { warnings, env: context.env, options });
  const ids = result.images.map(({ configDigest }) => `${configDigest}\n`).join("");
  if (flags.quiet) context.stdout.write(ids);
  else if (mode !== "quiet") context.stderr.write(describeBuild(result, options));
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
  if (iidfile !== undefined) await writeFile(iidfile, isSingle ? first.configDigest : root!.digest);
  if (metadataFile === undefined) return;
  const names = [
    ...options.tags,
    ...options.outputs.flatMap((output) =>
      "names" in output && (output.target === undefined || output.target === target[0]) ? output.names : [],
    ),
  ];
  const facts = {
    "buildx.build.ref": `slipway/slipway/${randomBytes(16).toString("hex").slice(0, 25)}`,
    ...(/^(?:1|t|true)$/i.test(env.BUILDX_METADATA_WARNINGS ?? "") && { "buildx.build.warnings": warnings }),
    ...(isSingle && { "containerimage.config.digest": first.configDigest }),
    ...(root && { "containerimage.descriptor": root, "containerimage.digest": root.digest }),
    ...(names.length > 0 && { "image.name": [...new Set(names.map(fullName))].join(",") }),
  };
  await writeFile(metadataFile, `${JSON.stringify(facts, undefined, 2)}\n`);
}

interface FactsContext {
  readonly warnings: readonly { readonly message: string }[];
  readonly env: NodeJS.ProcessEnv;
  readonly options: Awaited<ReturnType<typeof readBuildFlags>>;
}

function fullName(name: string): string {
  return formatImageReference(parseImageReference(name));
}
