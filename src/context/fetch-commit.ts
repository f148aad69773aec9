import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { type InputLimits, makeLimitError } from "../errors/input-limits.ts";
import { type GitRepository, openGitRepository } from "../store/git-repositories.ts";
import { acquireLock } from "../store/locks.ts";
import type { Store } from "../store/open-store.ts";
import { type GitAccess, redactRemote, type SshIdentity } from "./git-environment.ts";
import type { GitRemote } from "./git-remote.ts";
import { type GitCall, GitFailure, runGit } from "./run-git.ts";

/** What all calls of git in one build share. */
export interface GitContext {
  readonly store: Store;
  readonly environment: NodeJS.ProcessEnv;
  readonly ssh?: SshIdentity;
  /** An empty directory. */
  readonly home: string;
  readonly limits: InputLimits;
  readonly signal: AbortSignal;
}

/** What a branch or tag stands for now. */
export interface ResolvedRef {
  readonly commit: string;
  /** In full: `refs/heads/main`; absent where a commit was asked for. */
  readonly name?: string;
  /** Of an annotated tag: the tag itself, which has a hash of its own. */
  readonly tagObject?: string;
}

const COMMIT = /^[0-9a-f]{40}$/;

/**
 * Asks a repository for a branch (which wins) or tag; for its HEAD without one. A whole commit is taken as it is.
 *
 * @throws BuildError `fetch-failed`.
 */
export async function resolveRef(
  context: GitContext,
  remote: GitRemote,
  ref: string | undefined,
): Promise<ResolvedRef> {
  if (ref !== undefined && COMMIT.test(ref)) return { commit: ref };
  const names =
    ref === undefined
      ? ["HEAD"]
      : [`refs/${ref.replace(/^refs\//, "")}`, `refs/heads/${ref}`, `refs/tags/${ref}`];
  const patterns = names.flatMap((name) => [name, `${name}^{}`]);
  const list = await callRemote(context, remote, ["ls-remote", "--quiet", "--", remote.address, ...patterns]);
  const found = new Map(
    list
      .split("\n")
      .map((line) => line.split("\t"))
      .map(([hash = "", name = ""]) => [name, hash]),
  );
  for (const name of names) {
    const hash = found.get(name);
    if (hash === undefined || !COMMIT.test(hash)) continue;
    const commit = found.get(`${name}^{}`);
    const resolved = commit === undefined ? { commit: hash } : { commit, tagObject: hash };
    return name === "HEAD" ? resolved : { ...resolved, name };
  }
  const what = ref === undefined ? "has no default branch" : `has no branch or tag "${ref}"`;
  throw new BuildError(
    "fetch-failed",
    `Cannot fetch "${redactRemote(remote.address)}": the repository ${what}`,
    {
      hint:
        ref !== undefined && /^[0-9a-f]{4,39}$/.test(ref)
          ? "Give the whole commit, 40 hex digits"
          : undefined,
    },
  );
}

/**
 * Brings a commit and all its files into the store's repository of the remote, with as little history as the server lets.
 * What is there already is not fetched.
 *
 * @throws BuildError `fetch-failed`.
 */
export async function fetchCommit(
  context: GitContext,
  remote: GitRemote,
  { commit, name }: ResolvedRef,
): Promise<GitRepository> {
  const { store, signal } = context;
  const repository = openGitRepository(store, remote.address);
  const { directory } = repository;
  using _lock = await acquireLock(store, repository.lockName, signal);
  if (!existsSync(join(directory, "HEAD"))) {
    await callLocal(context, directory, ["init", "--bare", "--quiet", "--template=", "--", directory]);
  }
  if (await isHere(context, directory, markOf(commit))) return repository;
  // A fetch that was killed leaves its lock.
  rmSync(join(directory, "shallow.lock"), { force: true });
  let failure: unknown;
  for (const what of [[commit], ...(name === undefined ? [] : [[name]]), "everything" as const]) {
    try {
      await callRemote(context, remote, fetchArguments(remote, what, directory), directory);
    } catch (error) {
      if (!(error instanceof BuildError && error.cause instanceof GitFailure)) throw error;
      // Where the server cannot be reached or lets nobody in, asking in another way changes nothing.
      if (
        /unable to|could not read|not appear to be|Permission|denied|[Aa]uthentication|Host key/.test(
          error.cause.said,
        )
      )
        throw error;
      failure = error;
      continue;
    }
    if (!(await isHere(context, directory, `${commit}^{commit}`))) continue;
    await callLocal(context, directory, ["update-ref", markOf(commit), commit]);
    return repository;
  }
  throw new BuildError(
    "fetch-failed",
    `Cannot fetch "${redactRemote(remote.address)}": the repository has no commit ${commit}`,
    { cause: failure },
  );
}

/** The reference by which a fetched commit is known to be complete. */
export function markOf(commit: string): string {
  return `refs/slipway/${commit}`;
}

/** Not every server gives a commit by its hash, and the simplest kind gives no shallow history. */
function fetchArguments(
  remote: GitRemote,
  what: readonly string[] | "everything",
  directory: string,
): string[] {
  const common = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"];
  if (what !== "everything") return [...common, "--depth=1", "--", remote.address, ...what];
  const unshallow = existsSync(join(directory, "shallow")) ? ["--unshallow"] : [];
  const refs = ["+refs/heads/*:refs/remotes/heads/*", "+refs/tags/*:refs/remotes/tags/*"];
  return [...common, ...unshallow, "--", remote.address, ...refs];
}

async function isHere(context: GitContext, directory: string, name: string): Promise<boolean> {
  try {
    await callLocal(context, directory, ["rev-parse", "--verify", "--quiet", "--end-of-options", name]);
    return true;
  } catch (error) {
    if (error instanceof GitFailure) return false;
    throw error;
  }
}

async function callRemote(
  context: GitContext,
  remote: GitRemote,
  args: readonly string[],
  gitDirectory?: string,
): Promise<string> {
  const access = { protocols: "remote", authorization: remote.authorization } as const;
  const variables = gitDirectory === undefined ? undefined : { GIT_DIR: gitDirectory };
  try {
    const fileLimit = context.limits["download-size"];
    return await runGit(args, { ...makeCall(context, access), variables, fileLimit });
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error;
    if (/File too large/.test(error.said)) {
      if (gitDirectory !== undefined) removeUnfinished(gitDirectory);
      const what = `Cannot fetch "${redactRemote(remote.address)}": it is larger`;
      throw makeLimitError("download-size", what, context.limits);
    }
    throw new BuildError("fetch-failed", `Cannot fetch "${redactRemote(remote.address)}": ${error.said}`, {
      hint: hintFor(error.said, remote),
      cause: error,
    });
  }
}

/** The packs of a fetch that did not end well. Nobody else fetches: there is a lock. */
function removeUnfinished(gitDirectory: string): void {
  const packs = join(gitDirectory, "objects/pack");
  for (const name of readdirSync(packs))
    if (name.startsWith("tmp_")) rmSync(join(packs, name), { force: true });
}

/** Runs git on a repository of the store; nothing remote can be reached. @throws GitFailure. */
export function callLocal(
  context: GitContext,
  gitDirectory: string,
  args: readonly string[],
  more: Partial<Pick<GitCall, "directory" | "variables" | "protocols" | "onOutput">> = {},
): Promise<string> {
  const { directory, protocols = "none" } = more;
  const call = makeCall(context, { protocols });
  return runGit(args, {
    ...call,
    directory: directory ?? call.directory,
    onOutput: more.onOutput,
    variables: { GIT_DIR: gitDirectory, ...more.variables },
  });
}

function makeCall(context: GitContext, access: Pick<GitAccess, "protocols" | "authorization">): GitCall {
  const { environment, home, ssh, signal, store } = context;
  const knownHostsPath = join(store.root, "git", "known_hosts");
  return { environment, home, ssh, signal, knownHostsPath, directory: home, ...access };
}

function hintFor(said: string, { address, authorization }: GitRemote): string | undefined {
  const host = URL.parse(address)?.host;
  if (authorization !== undefined && /error: 30\d/.test(said)) {
    return "The server redirects, and credentials are not sent elsewhere: name the repository's own address";
  }
  if (/could not read Username|Authentication failed|error: 40[13]/.test(said)) {
    return `Give it a token with --secret id=GIT_AUTH_TOKEN.${host},env=NAME`;
  }
  if (/Host key verification failed/.test(said)) {
    return "It shows another key than when it was first seen. If its owner says that this is right, remove its line from git/known_hosts in the store";
  }
  if (/Permission denied \(/.test(said)) return "Give an ssh agent with --ssh default";
  return undefined;
}
