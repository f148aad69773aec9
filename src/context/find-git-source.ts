import { mkdir } from "node:fs/promises";
import { posix } from "node:path";
import { type GitReference, parseGitReference } from "../dockerfile/parse-git-reference.ts";
import { BuildError } from "../errors/build-error.ts";
import { DEFAULT_LIMITS } from "../errors/input-limits.ts";
import { temporaryPath } from "../store/blobs.ts";
import { checkOut, commitTime } from "./check-out.ts";
import { type GitContext, type ResolvedRef, resolveRef } from "./fetch-commit.ts";
import { redactRemote } from "./git-environment.ts";
import { checkRefName, makeGitRemote } from "./git-remote.ts";
import type { GitRequest, RemoteOptions } from "./remote-sources.ts";

/** A repository at a commit. */
export interface GitSource {
  readonly commit: string;
  /** Says what the files are: the commit and what of it is wanted in which form. */
  readonly id: string;
  /** Of the commit, in seconds since 1970. */
  commitTime(): Promise<number>;
  /** The files, in a directory that stays until the store is closed; fetched once, whoever asks. */
  checkOut(): Promise<string>;
}

/**
 * Finds out which commit a git reference means.
 *
 * @throws BuildError `option-invalid`, `fetch-failed`; `verification` when it is not the commit that it must be.
 */
export async function findGitSource(options: RemoteOptions, request: GitRequest): Promise<GitSource> {
  const parsed = parseGitReference(request.url);
  if (parsed === undefined) {
    throw new BuildError("option-invalid", `Cannot fetch "${request.url}": it is no git repository`);
  }
  if (parsed.ref !== undefined) checkRefName(parsed.ref);
  const { secrets } = options;
  const remote = makeGitRemote(parsed.looksLocal ? `https://${parsed.remote}` : parsed.remote, { secrets });
  const origin = URL.parse(remote.address)?.origin;
  const home = temporaryPath(options.store);
  await mkdir(home);
  const context: GitContext = {
    store: options.store,
    environment: options.environment,
    ssh: request.ssh ?? options.ssh,
    home,
    limits: options.limits ?? DEFAULT_LIMITS,
    signal: request.signal,
  };
  const ref = await resolveRef(context, remote, parsed.ref);
  verifyCommit(ref, request.checksum ?? parsed.checksum, remote.address);
  const what = {
    subdirectory: cleanSubdirectory(parsed),
    keepGitDir: request.keepGitDir ?? parsed.keepGitDir ?? false,
    submodules: parsed.submodules ?? true,
    hasCommitTimes: parsed.modificationTimes === "commit",
  };
  let files: Promise<string> | undefined;
  return {
    commit: ref.commit,
    id: JSON.stringify([ref.commit, what, what.keepGitDir ? [remote.address, ref.name] : []]),
    commitTime: () => commitTime(context, { remote, ref }),
    checkOut() {
      files ??= checkOut(context, {
        ...what,
        remote,
        ref,
        // Secrets without a host are for the repository that the user named, and its neighbours.
        makeRemote: (url) => makeGitRemote(url, { secrets, isForeign: URL.parse(url)?.origin !== origin }),
      });
      return files;
    },
  };
}

function verifyCommit(
  { commit, tagObject }: ResolvedRef,
  checksum: string | undefined,
  remote: string,
): void {
  if (checksum === undefined) return;
  if (!/^[0-9a-f]{7,40}$/.test(checksum)) {
    throw new BuildError("option-invalid", `Cannot use "${checksum}" as a git checksum: it is no commit`);
  }
  if (commit.startsWith(checksum) || tagObject?.startsWith(checksum)) return;
  throw new BuildError(
    "verification",
    `Cannot use "${redactRemote(remote)}": expected checksum to match ${checksum}, got ${commit}`,
  );
}

/** @throws BuildError `option-invalid` when it leads out of the repository. */
function cleanSubdirectory({ subdirectory = "", remote }: GitReference): string {
  const clean = posix.normalize(subdirectory.replace(/^\/+/, "") || ".").replace(/\/+$/, "");
  if (clean === ".") return "";
  if (!/^\.\.(?:\/|$)/.test(clean) && !/[\x00-\x1f]/.test(clean)) return clean;
  throw new BuildError(
    "option-invalid",
    `Cannot use "${subdirectory}" of "${redactRemote(remote)}": it leads out of the repository`,
  );
}
