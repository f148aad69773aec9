import type { ContextOptions } from "../context/context-options.ts";
import { openContext } from "../context/open-context.ts";
import { parseDockerfile } from "../dockerfile/parse-dockerfile.ts";
import { BuildError } from "../errors/build-error.ts";
import { hintNearest } from "../errors/suggest-nearest.ts";
import { formatPlatform, hostPlatform, parsePlatform } from "../oci/platform.ts";
import type { Plan, PlanOptions } from "../plan/plan.ts";
import { solvePlan } from "../solve/solve-plan.ts";
import type { BuildOptions, BuildResult } from "./build-options.ts";
import type { BuildOutput } from "./build-output.ts";
import { checkOutputs, exportImages } from "./export-images.ts";
import { makeLazyRemotes } from "./open-remotes.ts";
import { openSession } from "./open-session.ts";
import { planWithEpoch } from "./plan-with-epoch.ts";
import { openNamedContexts, resolvePlan } from "./resolve-plan.ts";

const DEFAULT_JOBS = 16;
/** Of an archive that is the build context, unpacked. */
const MAX_CONTEXT_BYTES = 8 * 2 ** 30;

/**
 * Builds what a Dockerfile describes, from its text to its outputs.
 *
 * @throws BuildError for everything that the user can do something about; then no output was written or tagged.
 */
export async function build(options: BuildOptions): Promise<BuildResult> {
  const { outputs = [{ type: "image", names: [], push: false }], tags = [] } = options;
  checkOutputs(outputs, tags);
  await using session = openSession(options);
  const { access } = session;
  const secrets = options.secrets ?? new Map<string, Uint8Array>();
  await using remotes = makeLazyRemotes({
    store: access.store,
    secrets,
    ssh: options.ssh?.get("default"),
    environment: process.env,
    maxDownloadBytes: options.maxDownloadBytes,
  });
  const contextOptions: ContextOptions = {
    store: access.store,
    work: session.contextWork,
    openRemotes: () => remotes.open(),
    ssh: options.ssh?.get("default") ?? ownAgent(process.env),
    maxContextBytes: options.maxContextBytes ?? MAX_CONTEXT_BYTES,
    signal: access.signal,
  };
  const keepGitDir = /^(?:1|t|true)$/i.test(options.buildArgs?.BUILDKIT_CONTEXT_KEEP_GIT_DIR ?? "");
  const { tree, dockerfile } = await openContext({ ...options, keepGitDir }, contextOptions);
  options.onDockerfile?.(dockerfile);
  const syntax = parseDockerfile(dockerfile.bytes, { file: dockerfile.file });
  const { named, trees } = await openNamedContexts(options.buildContexts ?? {}, contextOptions);
  const resolve = (plan: PlanOptions) => resolvePlan(access, syntax, { plan, pull: options.pull });
  const { plan, findImage, epochSeconds } = await planWithEpoch(resolve, planOptions(options, named), {
    openRemotes: () => remotes.open(),
    contextOf: (name) => (name === "context" ? options.context : options.buildContexts?.[name]),
    emit: access.emit,
    signal: access.signal,
  });
  tellAboutPlan(plan, access.emit);
  checkTargets(outputs, [...new Set(plan.outputs.map(({ target }) => target))]);

  const results = await solvePlan(plan, {
    access,
    openSandbox: () => session.openSandbox(),
    contexts: new Map([...trees, ["context", tree]]),
    findImage,
    jobs: options.jobs ?? DEFAULT_JOBS,
    secrets,
    openRemotes: () => remotes.open(),
    allow: new Set(options.allow),
    ssh: options.ssh,
    epochSeconds,
  });
  const built = plan.outputs.map(({ target, config, platform }, position) => ({
    target,
    config,
    platform,
    layers: results[position]!.layers,
  }));
  const { squash, wantManifests } = options;
  const exported = await exportImages(access, built, { outputs, tags, epochSeconds, squash, wantManifests });
  const { images, manifests, root } = exported;
  return {
    images: images.map(({ configDigest, platform }, position) => ({
      target: built[position]!.target,
      platform: formatPlatform(platform),
      configDigest,
      ...(manifests[position] && {
        manifestDigest: manifests[position].descriptor.digest,
        manifestDescriptor: manifests[position].descriptor,
      }),
    })),
    ...(root && { root }),
    leftOut: plan.leftOut.map(({ name }) => name),
  };
}

/** For a repository that the user names on the command line; a Dockerfile gets an agent only by `ssh`. */
function ownAgent({ SSH_AUTH_SOCK: path }: NodeJS.ProcessEnv): ContextOptions["ssh"] {
  return path ? { kind: "socket", path } : undefined;
}

function planOptions(options: BuildOptions, namedContexts: PlanOptions["namedContexts"]): PlanOptions {
  const buildPlatform = hostPlatform(process.arch);
  const platforms = (options.platforms ?? []).map((text) => parsePlatform(text, buildPlatform));
  const {
    target,
    targets,
    buildArgs,
    labels,
    network,
    shmSizeBytes,
    ulimits,
    resources,
    extraHosts,
    noCache,
    noCacheFilter,
  } = options;
  return {
    target,
    targets,
    buildArgs,
    labels,
    network,
    shmSizeBytes,
    ulimits,
    resources,
    extraHosts,
    noCache,
    noCacheFilter,
    namedContexts,
    buildPlatform,
    platforms: platforms.length === 0 ? [buildPlatform] : platforms,
    implicitPlatform: platforms.length === 0,
  };
}

function checkTargets(outputs: readonly BuildOutput[], targets: readonly string[]): void {
  for (const { target } of outputs) {
    if (target === undefined || targets.includes(target.toLowerCase())) continue;
    throw new BuildError(
      "option-invalid",
      `Cannot write an output of "${target}": it is not one of the targets of this build`,
      { hint: hintNearest(target, targets) ?? `Add --target ${target}` },
    );
  }
}

function tellAboutPlan({ leftOut, warnings }: Plan, emit: NonNullable<BuildOptions["emit"]>): void {
  for (const { message, span } of warnings) emit({ kind: "warning", time: Date.now(), message, span });
  if (leftOut.length > 0) {
    const names = leftOut.map(({ name }) => name).join(", ");
    emit({ kind: "note", time: Date.now(), message: `not needed for this target, left out: ${names}` });
  }
}
