import type { ContextOptions } from "../context/context-options.ts";
import type { ContextTree, OpenedContext } from "../context/context-tree.ts";
import { openContext } from "../context/open-context.ts";
import { parseDockerfile } from "../dockerfile/parse-dockerfile.ts";
import type { SyntaxTree } from "../dockerfile/syntax-tree.ts";
import { DEFAULT_LIMITS } from "../errors/input-limits.ts";
import { hostPlatform, parsePlatform } from "../oci/platform.ts";
import type { PlanOptions } from "../plan/plan.ts";
import type { BuildOptions } from "./build-options.ts";
import { type LazyRemotes, makeLazyRemotes } from "./open-remotes.ts";
import { openSession, type Session } from "./open-session.ts";
import { openNamedContexts } from "./resolve-plan.ts";

/** What every look at a build begins with. Closing it closes the session. */
export interface BuildInputs extends AsyncDisposable {
  readonly session: Session;
  readonly remotes: LazyRemotes;
  readonly dockerfile: OpenedContext["dockerfile"];
  readonly syntax: SyntaxTree;
  /** The build context. */
  readonly tree: ContextTree;
  /** Named contexts that are files. */
  readonly trees: ReadonlyMap<string, ContextTree>;
  readonly secrets: ReadonlyMap<string, Uint8Array>;
  readonly planOptions: PlanOptions;
}

/**
 * Opens a session, the contexts and the Dockerfile that the options name.
 *
 * @throws BuildError `context`, `dockerfile-syntax`, `fetch-failed`, `input-limit`, `option-invalid`, `store`, `verification`.
 */
export async function openInputs(options: BuildOptions): Promise<BuildInputs> {
  await using opened = new AsyncDisposableStack();
  const session = opened.use(openSession(options));
  const secrets = options.secrets ?? new Map<string, Uint8Array>();
  const remotes = opened.use(
    makeLazyRemotes({
      store: session.store,
      secrets,
      ssh: options.ssh?.get("default"),
      environment: process.env,
      limits: options.limits,
    }),
  );
  const contextOptions: ContextOptions = {
    store: session.store,
    work: session.contextWork,
    openRemotes: () => remotes.open(),
    ssh: options.ssh?.get("default") ?? ownAgent(process.env),
    limits: options.limits ?? DEFAULT_LIMITS,
    signal: session.signal,
  };
  const keepGitDir = /^(?:1|t|true)$/i.test(options.buildArgs?.BUILDKIT_CONTEXT_KEEP_GIT_DIR ?? "");
  const { tree, dockerfile } = await openContext({ ...options, keepGitDir }, contextOptions);
  options.onDockerfile?.(dockerfile);
  const syntax = parseDockerfile(dockerfile.bytes, { file: dockerfile.file });
  const { named, trees } = await openNamedContexts(options.buildContexts ?? {}, contextOptions);
  const { normalizeModes } = options;
  const closing = opened.move();
  return {
    session,
    remotes,
    dockerfile,
    syntax,
    tree: { ...tree, normalizeModes },
    trees: new Map([...trees].map(([name, one]) => [name, { ...one, normalizeModes }])),
    secrets,
    planOptions: makePlanOptions(options, named),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** The build context and the named ones, by name. */
export function allContexts({ tree, trees }: BuildInputs): ReadonlyMap<string, ContextTree> {
  return new Map([...trees, ["context", tree]]);
}

/** For a repository that the user names on the command line; a Dockerfile gets an agent only by `ssh`. */
function ownAgent({ SSH_AUTH_SOCK: path }: NodeJS.ProcessEnv): ContextOptions["ssh"] {
  return path ? { kind: "socket", path } : undefined;
}

function makePlanOptions(options: BuildOptions, namedContexts: PlanOptions["namedContexts"]): PlanOptions {
  const buildPlatform = hostPlatform(process.arch);
  const platforms = (options.platforms ?? []).map((text) => parsePlatform(text, buildPlatform));
  const {
    target,
    targets,
    buildArgs,
    labels,
    unsetEnv,
    unsetLabels,
    network,
    shmSizeBytes,
    ulimits,
    resources,
    confinement,
    volumes,
    extraHosts,
    noCacheFilter,
    reproduce,
    noCache = reproduce !== undefined,
  } = options;
  return {
    target,
    targets,
    buildArgs,
    labels,
    unsetEnv,
    unsetLabels,
    network,
    shmSizeBytes,
    ulimits,
    resources,
    confinement,
    volumes,
    extraHosts,
    noCache,
    noCacheFilter,
    namedContexts,
    buildPlatform,
    platforms: platforms.length === 0 ? [buildPlatform] : platforms,
    implicitPlatform: platforms.length === 0,
  };
}
