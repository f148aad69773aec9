import type { InputLimits } from "../errors/input-limits.ts";
import { HttpConnections } from "../registry/http-connections.ts";
import type { RetryPolicy } from "../registry/retry-policy.ts";
import type { Store } from "../store/open-store.ts";
import { type Download, type DownloadRequest, download } from "./download.ts";
import { findGitSource, type GitSource } from "./find-git-source.ts";
import type { SshIdentity } from "./git-environment.ts";
import type { SourceSecrets } from "./source-authorization.ts";

export interface RemoteOptions {
  readonly store: Store;
  /** `HTTP_AUTH_TOKEN`, `GIT_AUTH_TOKEN` and their like. */
  readonly secrets: SourceSecrets;
  /** What git logs in with over ssh; without it, it logs in as nobody. */
  readonly ssh?: SshIdentity;
  /** Proxies and the authorities of certificates come from here. */
  readonly environment: NodeJS.ProcessEnv;
  /** `DEFAULT_LIMITS` when absent. */
  readonly limits?: InputLimits;
  readonly retries?: RetryPolicy;
}

export interface GitRequest {
  /** As in the Dockerfile, with fragment and query. */
  readonly url: string;
  readonly keepGitDir?: boolean;
  /** The commit (or the tag object) that it must be, or its beginning. */
  readonly checksum?: string;
  /** Logs in with this in place of the options' `ssh`. */
  readonly ssh?: SshIdentity;
  readonly signal: AbortSignal;
}

/** URLs and git repositories. Within one build a URL and a branch are the same thing for all who ask. */
export interface RemoteSources extends AsyncDisposable {
  /** @throws BuildError `fetch-failed`, `verification`, `input-limit`. */
  download(request: DownloadRequest): Promise<Download>;
  /** Finds out which commit is meant; what it holds is fetched by `checkOut`. @throws BuildError `fetch-failed`, `verification`, `option-invalid`. */
  findGit(request: GitRequest): Promise<GitSource>;
}

/** Keeps connections open until it is disposed. */
export function openRemoteSources(options: RemoteOptions): RemoteSources {
  const connections = new HttpConnections(options.environment);
  const downloads = new Map<string, Promise<Download>>();
  const repositories = new Map<string, Promise<GitSource>>();
  return {
    download(request) {
      const key = JSON.stringify([request.url, request.checksum]);
      return keepResult(downloads, key, () => download({ ...options, connections }, request));
    },
    findGit(request) {
      const { signal: _, ...what } = request;
      return keepResult(repositories, JSON.stringify(what), () => findGitSource(options, request));
    },
    [Symbol.asyncDispose]: () => connections[Symbol.asyncDispose](),
  };
}

/** A failure is not kept: it may have been the signal of the one who asked first. */
function keepResult<T>(results: Map<string, Promise<T>>, key: string, find: () => Promise<T>): Promise<T> {
  let result = results.get(key);
  if (result === undefined) {
    result = find();
    result.catch(() => results.delete(key));
    results.set(key, result);
  }
  return result;
}
