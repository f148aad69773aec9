import { chmod, lutimes, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { BuildError } from "../errors/build-error.ts";
import { temporaryPath } from "../store/blobs.ts";
import { callLocal, fetchCommit, type GitContext, markOf, type ResolvedRef } from "./fetch-commit.ts";
import { redactRemote } from "./git-environment.ts";
import { type GitRemote, resolveSubmoduleUrl } from "./git-remote.ts";
import { listSubmodules, makeSubmoduleDirectory } from "./git-submodules.ts";
import { measureTree } from "./measure-tree.ts";
import { GitFailure } from "./run-git.ts";

export interface CheckOutRequest {
  readonly remote: GitRemote;
  readonly ref: ResolvedRef;
  /** Clean, without slashes at its ends; empty for the whole repository. */
  readonly subdirectory: string;
  /** Only for a whole repository. */
  readonly keepGitDir: boolean;
  readonly submodules: boolean;
  /** Files have the commit's time, not that of the checkout. */
  readonly hasCommitTimes: boolean;
  /** A submodule's remote. */
  readonly makeRemote: (url: string) => GitRemote;
}

/** A submodule of a submodule of ...: more than anybody has. */
const DEPTH_MAX = 32;

/**
 * Fetches a commit and writes its files into a new temporary directory of the store. Nothing of the repository is run: no hooks, no
 * filters, no settings.
 *
 * @throws BuildError `fetch-failed`.
 */
export async function checkOut(context: GitContext, request: CheckOutRequest): Promise<string> {
  const directory = temporaryPath(context.store);
  await mkdir(directory, { mode: 0o755 });
  // Whatever the process's umask is.
  await chmod(directory, 0o755);
  await checkOutInto(context, request, { directory, depth: 0 });
  if (request.hasCommitTimes) await setTimes(directory, await commitTime(context, request));
  return directory;
}

async function checkOutInto(
  context: GitContext,
  request: CheckOutRequest,
  { directory, depth }: { readonly directory: string; readonly depth: number },
): Promise<void> {
  const { remote, ref, subdirectory, keepGitDir } = request;
  const { directory: gitDirectory } = await fetchCommit(context, remote, ref);
  await measureTree(context, gitDirectory, { tree: `${ref.commit}:${subdirectory}`, remote });
  if (keepGitDir && subdirectory === "") await cloneInto(context, request, { directory, gitDirectory });
  else await writeTree(context, request, { directory, gitDirectory });
  if (!request.submodules) return;
  const prefix = subdirectory === "" ? "" : `${subdirectory}/`;
  for (const { path, commit, url } of await listSubmodules(context, gitDirectory, ref.commit)) {
    if (!path.startsWith(prefix)) continue;
    if (depth >= DEPTH_MAX) {
      throw new BuildError(
        "input-limit",
        `Cannot check out "${redactRemote(remote.address)}": its submodules are nested more than ${DEPTH_MAX} deep`,
      );
    }
    const inner = {
      ...request,
      remote: request.makeRemote(resolveSubmoduleUrl(url, remote.address)),
      ref: { commit },
      subdirectory: "",
      keepGitDir: false,
    };
    const place = await makeSubmoduleDirectory(directory, path.slice(prefix.length));
    await checkOutInto(context, inner, { directory: place, depth: depth + 1 });
  }
}

interface Place {
  readonly directory: string;
  readonly gitDirectory: string;
}

async function writeTree(
  context: GitContext,
  { ref, subdirectory, remote }: CheckOutRequest,
  { directory, gitDirectory }: Place,
): Promise<void> {
  const indexPath = temporaryPath(context.store);
  // By name in the commit's tree: no link of the repository can lead out of it.
  const tree = `${ref.commit}:${subdirectory}`;
  const variables = { GIT_WORK_TREE: directory, GIT_INDEX_FILE: indexPath };
  try {
    const type = await callLocal(context, gitDirectory, ["cat-file", "-t", tree]).catch((error) => {
      if (error instanceof GitFailure) return "nothing";
      throw error;
    });
    if (type.trim() !== "tree") {
      throw new BuildError(
        "fetch-failed",
        `Cannot use "${subdirectory}" of "${redactRemote(remote.address)}": the repository has no such directory`,
      );
    }
    await callLocal(context, gitDirectory, ["read-tree", "--reset", "-u", tree], { directory, variables });
  } catch (error) {
    throw describeFailure(error, remote);
  } finally {
    await rm(indexPath, { force: true });
  }
}

/** A repository of its own with one commit, as `git clone --depth=1` would make it. */
async function cloneInto(
  context: GitContext,
  { ref, remote }: CheckOutRequest,
  { directory, gitDirectory }: Place,
): Promise<void> {
  const own = join(directory, ".git");
  const call = (args: readonly string[]) =>
    callLocal(context, own, args, { directory, protocols: "file", variables: { GIT_WORK_TREE: directory } });
  try {
    await callLocal(context, own, ["init", "--quiet", "--template=", "--", directory]);
    // By the file protocol, not as a local clone, which would link the store's own files.
    const url = pathToFileURL(gitDirectory).href;
    const options = ["--quiet", "--no-tags", "--depth=1", "--no-write-fetch-head"];
    await call(["fetch", ...options, "--", url, markOf(ref.commit)]);
    await call([
      "-c",
      "core.logAllRefUpdates=false",
      "checkout",
      "--quiet",
      "--force",
      "--detach",
      ref.commit,
    ]);
    if (ref.name !== undefined) await call(["update-ref", "--no-deref", ref.name, ref.commit]);
    await call(["remote", "add", "--", "origin", remote.address]);
    await rm(join(own, "logs"), { recursive: true, force: true });
  } catch (error) {
    throw describeFailure(error, remote);
  }
}

function describeFailure(error: unknown, { address }: GitRemote): unknown {
  if (!(error instanceof GitFailure)) return error;
  return new BuildError("fetch-failed", `Cannot check out "${redactRemote(address)}": ${error.said}`, {
    cause: error,
  });
}

/** Of the committer, in seconds since 1970. Throws BuildError `fetch-failed`. */
export async function commitTime(
  context: GitContext,
  { remote, ref }: Pick<CheckOutRequest, "remote" | "ref">,
): Promise<number> {
  const { directory } = await fetchCommit(context, remote, ref);
  return Number(await callLocal(context, directory, ["show", "--no-patch", "--format=%ct", ref.commit]));
}

async function setTimes(directory: string, seconds: number): Promise<void> {
  for (const item of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, item.name);
    if (item.isDirectory()) await setTimes(path, seconds);
    else await lutimes(path, seconds, seconds);
  }
  await lutimes(directory, seconds, seconds);
}
