import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { build } from "../../build/build.ts";
import type { BuildResult } from "../../build/build-options.ts";
import { formatImageReference, parseImageReference } from "../../oci/reference.ts";
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
  let result: BuildResult | undefined;
  try {
    result = await build({ ...options, root: context.root(), signal: context.signal, emit: progress.emit });
  } finally {
    progress.close(result !== undefined);
  }
  await writeFacts(result, flags, options);
  const ids = result.images.map(({ configDigest }) => `${configDigest}\n`).join("");
  if (flags.quiet) context.stdout.write(ids);
  else if (mode !== "quiet") context.stderr.write(describeBuild(result, options));
}

/** Of `--iidfile` and `--metadata-file`. */
async function writeFacts(
  result: BuildResult,
  { iidfile, metadataFile }: BuildFlags,
  { tags, outputs }: Awaited<ReturnType<typeof readBuildFlags>>,
): Promise<void> {
  const image = result.images[0]!;
  if (iidfile !== undefined) await writeFile(iidfile, image.configDigest);
  if (metadataFile === undefined) return;
  const names = [...tags, ...outputs.flatMap((output) => ("names" in output ? output.names : []))];
  const facts = {
    "containerimage.config.digest": image.configDigest,
    ...(image.manifestDescriptor && {
      "containerimage.descriptor": image.manifestDescriptor,
      "containerimage.digest": image.manifestDescriptor.digest,
    }),
    ...(names.length > 0 && { "image.name": [...new Set(names.map(fullName))].join(",") }),
  };
  await writeFile(metadataFile, `${JSON.stringify(facts, undefined, 2)}\n`);
}

function fullName(name: string): string {
  return formatImageReference(parseImageReference(name));
}
