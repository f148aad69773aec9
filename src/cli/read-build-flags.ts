import { existsSync } from "node:fs";
import { addAbortSignal } from "node:stream";
import { BuildError } from "../errors/build-error.ts";
import { type BuildOptions, type BuildOutput, findEngine } from "../index.ts";
import { machinePlatform, parseWantedPlatform } from "../oci/machine-platform.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { BuildFlags } from "./build-flags.ts";
import type { CommandContext } from "./command-context.ts";
import { parseAnnotation } from "./parse-annotation.ts";
import { parseAttestations } from "./parse-attestation.ts";
import { parseCacheSources, parseCacheTargets } from "./parse-cache.ts";
import { parseConfinement } from "./parse-confinement.ts";
import { parseOutput } from "./parse-output.ts";
import { parseResources } from "./parse-resources.ts";
import { readSecret } from "./parse-secret.ts";
import { parseSsh } from "./parse-ssh.ts";
import { parseDuration } from "./parse-until.ts";
import {
  parseCount,
  parseEntitlement,
  parseExtraHost,
  parseNetwork,
  parsePairs,
  parseSize,
  parseUlimit,
  parseVariables,
} from "./parse-values.ts";
import { parseVolume } from "./parse-volume.ts";
import { readArgFiles } from "./read-arg-files.ts";
import { readDockerfileInput } from "./read-standard-input.ts";
import { readRegistryFlags } from "./registry-flags.ts";
import { sessionOptions } from "./with-session.ts";

type ReadOptions = BuildOptions & Required<Pick<BuildOptions, "tags" | "outputs">>;

/**
 * What the options of `build` mean for the library. Secrets and a Dockerfile on stdin are read here.
 *
 * @throws BuildError `option-invalid`; `unsupported` for the options that are to come.
 */
export async function readBuildFlags(
  directory: string,
  flags: BuildFlags,
  context: CommandContext,
): Promise<ReadOptions> {
  refuseBuilders(flags);
  if (context.isDebug()) tellWithoutEffect(flags, context);
  if (directory === "-" && flags.file === "-") {
    throw new BuildError("option-invalid", "Cannot read both the build context and the Dockerfile on stdin");
  }
  const settings = context.settings();
  const network = flags.network === undefined ? settings.network : parseNetwork(flags.network);
  const platforms = flags.platform
    .flatMap((text) => text.split(","))
    .map((text) => formatPlatform(text === "local" ? machinePlatform() : parseWantedPlatform(text)));
  return {
    context: directory === "-" ? readChunks(context) : directory,
    onDockerfile: ({ file, bytes }) => context.sources.set(file, Buffer.from(bytes).toString("utf8")),
    ...(await readDockerfile(flags.file, context)),
    ignoreFilePath: flags.ignorefile,
    normalizeModes: flags.normalizeModes,
    targets: flags.target,
    buildArgs: {
      ...readEpoch(flags, context.env),
      ...(await readArgFiles(flags.buildArgFile, context.env)),
      ...parseVariables(flags.buildArg, "--build-arg", context.env),
    },
    labels: parseLabels(flags.label),
    unsetEnv: flags.unsetenv,
    unsetLabels: flags.unsetlabel,
    tags: flags.tag,
    platforms,
    buildContexts: parsePairs(flags.buildContext, "--build-context"),
    outputs: readOutputs(flags, context),
    provenance: parseAttestations(flags),
    squash: readSquash(flags),
    wantManifests: flags.metadataFile !== undefined || (flags.iidfile !== undefined && platforms.length > 1),
    reproduce: flags.reproduce,
    noCache: flags.noCache,
    cacheFrom: flags.cacheFrom.flatMap(parseCacheSources),
    cacheTo: flags.cacheTo.flatMap(parseCacheTargets),
    explain: flags.explain,
    cacheTtlMs:
      flags.cacheTtl === undefined ? settings.cacheTtlMs : parseDuration(flags.cacheTtl, "--cache-ttl"),
    noCacheFilter: flags.noCacheFilter.flatMap((text) => text.split(",")),
    pull: flags.pull,
    secrets: new Map(await Promise.all(flags.secret.map((text) => readSecret(text, context.env)))),
    // docker too takes the wish for the permission here.
    allow: [
      ...(settings.allow ?? []),
      ...flags.allow.map(parseEntitlement),
      ...(network === "host" ? ["network.host"] : []),
    ],
    jobs: flags.jobs === undefined ? settings.jobs : parseCount(flags.jobs, "--jobs", 1),
    network,
    shmSizeBytes: flags.shmSize === undefined ? undefined : parseSize(flags.shmSize, "--shm-size"),
    ulimits: flags.ulimit.map(parseUlimit),
    resources: readResources(flags),
    confinement: parseConfinement(flags),
    volumes: flags.volume.map((text) => parseVolume(text)),
    ssh: new Map(flags.ssh.map((text) => parseSsh(text, context.env))),
    extraHosts: flags.addHost.map(parseExtraHost),
    ...sessionOptions(context, readRegistryFlags(context, flags)),
  };
}

function readSquash({ squash, squashNew, squashStage }: BuildFlags): BuildOptions["squash"] {
  if (squash) return "all";
  if (squashNew) return "new";
  return squashStage === undefined ? undefined : { stage: squashStage.toLowerCase() };
}

function readResources(flags: BuildFlags): BuildOptions["resources"] {
  const limits = parseResources(flags.resource, [
    ["memory", flags.memory],
    ["memory-swap", flags.memorySwap],
    ["cpu-shares", flags.cpuShares],
    ["cpu-period", flags.cpuPeriod],
    ["cpu-quota", flags.cpuQuota],
    ["cpuset-cpus", flags.cpusetCpus],
    ["cpuset-mems", flags.cpusetMems],
  ]);
  const { cgroupParent } = flags;
  return cgroupParent === undefined ? limits : { ...limits, cgroupParent };
}

/** `NAME` alone is a label with an empty value. */
function parseLabels(texts: readonly string[]): Readonly<Record<string, string>> {
  return parsePairs(
    texts.map((text) => (text.includes("=") ? text : `${text}=`)),
    "--label",
  );
}

/** SOURCE_DATE_EPOCH of the environment counts, too, as buildx has it. */
function readEpoch(
  { sourceDateEpoch, timestamp }: BuildFlags,
  env: NodeJS.ProcessEnv,
): Readonly<Record<string, string>> {
  for (const [option, text] of [
    ["--source-date-epoch", sourceDateEpoch],
    ["--timestamp", timestamp],
  ] as const) {
    if (text === undefined || /^\d{1,12}$/.test(text)) continue;
    throw new BuildError("option-invalid", `Cannot use "${text}" for ${option}: it is no number of seconds`);
  }
  const value = timestamp ?? sourceDateEpoch ?? env.SOURCE_DATE_EPOCH;
  return value ? { SOURCE_DATE_EPOCH: value } : {};
}

/** `--push` and `--load` are short for an output, and go with the outputs that `-o` names. */
function readOutputs(flags: BuildFlags, context: CommandContext): BuildOutput[] {
  const { output, push, load, tag } = flags;
  const named = output.map((text) => parseOutput(text, context));
  const isFirst = ({ target }: BuildOutput) => target === undefined || target === flags.target[0];
  const hasImage = named.some((one) => one.type === "image" && isFirst(one));
  const outputs: BuildOutput[] = named.map((one) =>
    push && one.type === "image" ? { ...one, push: true } : one,
  );
  if (!hasImage && (push || load || named.length === 0))
    outputs.push({ type: "image", names: [], push: push === true });
  if (load && hasEngine(context.env)) {
    // It does not leave the machine: nothing is gained by compressing it.
    const dest = findEngine(context.env);
    outputs.push({ type: "docker", names: [], tar: true, dest, compression: "uncompressed" });
  }
  const nameless = outputs.find(
    (one) =>
      one.type === "image" && one.push && one.names.length === 0 && (tag.length === 0 || !isFirst(one)),
  );
  if (nameless !== undefined) {
    throw new BuildError("option-invalid", "Cannot push the image: it has no name", {
      hint: "Give it one with -t REGISTRY/NAME:TAG",
    });
  }
  if (outputs.filter((one) => "dest" in one && one.dest === context.stdout).length > 1) {
    throw new BuildError("option-invalid", "Cannot write two outputs to stdout: they would mix");
  }
  return outputs.map((one) => withCommonForm(one, flags));
}

/** An engine that somebody names must be there; the usual socket may be missing. */
function hasEngine(env: NodeJS.ProcessEnv): boolean {
  return Boolean(env.DOCKER_HOST) || existsSync("/var/run/docker.sock");
}

/** What options say about every image; an output's own attributes win. */
function withCommonForm(
  output: BuildOutput,
  { annotation, rewriteTimestamp, timestamp }: BuildFlags,
): BuildOutput {
  if (!("names" in output)) return output;
  const rewrite = timestamp !== undefined ? "all" : rewriteTimestamp ? "clamp" : undefined;
  const annotations = [...annotation.flatMap(parseAnnotation), ...(output.annotations ?? [])];
  return {
    ...(rewrite && { rewriteTimestamp: rewrite }),
    ...output,
    ...(annotations.length > 0 && { annotations }),
  };
}

async function readDockerfile(
  file: string | undefined,
  { stdin, sources, signal, settings }: CommandContext,
): Promise<Pick<BuildOptions, "dockerfile" | "dockerfilePath">> {
  if (file !== "-") return { dockerfilePath: file };
  const bytes = await readDockerfileInput(stdin, { limits: settings().limits, signal });
  sources.set("-", Buffer.from(bytes).toString("utf8"));
  return { dockerfile: { file: "-", bytes } };
}

/** Aborting ends it: a terminal may have nothing to say for long. */
function readChunks({ stdin, signal }: CommandContext): AsyncIterable<Uint8Array> {
  return addAbortSignal(signal, stdin);
}

/** What docker and buildah have several of, and slipway one. */
function refuseBuilders({ builder, isolation }: BuildFlags): void {
  if (builder !== undefined) {
    throw new BuildError("unsupported", `Cannot use the builder "${builder}": slipway builds by itself`, {
      hint: "Leave --builder out",
    });
  }
  if (isolation === undefined || ["", "default", "oci"].includes(isolation)) return;
  throw new BuildError("unsupported", `Cannot use --isolation=${isolation}: commands run in an OCI runtime`, {
    hint: "Leave --isolation out",
  });
}

function tellWithoutEffect({ rm, forceRm, compress }: BuildFlags, { stderr }: CommandContext): void {
  const given = { "--rm": rm, "--force-rm": forceRm, "--compress": compress };
  for (const [name, isGiven] of Object.entries(given)) {
    if (isGiven) stderr.write(`Debug: ${name} has no effect\n`);
  }
}
