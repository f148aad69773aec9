import { existsSync } from "node:fs";
import type { RemoteSources } from "../context/remote-sources.ts";
import { parseGitReference } from "../dockerfile/parse-git-reference.ts";
import type { Epoch } from "../plan/plan.ts";
import type { EventSink } from "../progress/event.ts";

export interface EpochSources {
  readonly openRemotes: () => Promise<RemoteSources>;
  /** What the user said a context is, by its name: `context` for the main one. */
  readonly contextOf: (name: string) => unknown;
  readonly emit: EventSink;
  readonly signal: AbortSignal;
}

/**
 * The time that SOURCE_DATE_EPOCH comes to, in seconds since 1970: a number as it is; a repository's commit, a download's
 * Last-Modified. A directory has no time of its own: its files' times depend on who checked them out.
 *
 * @throws BuildError `fetch-failed`.
 */
export async function findEpoch(epoch: Epoch, sources: EpochSources): Promise<number | undefined> {
  switch (epoch.kind) {
    case "time":
      return epoch.seconds;
    case "context": {
      const remote = asRemote(sources.contextOf(epoch.name));
      if (remote !== undefined) return findRemoteTime(remote, sources);
      const message = `the context "${epoch.name}" is a directory, which has no time of its own: SOURCE_DATE_EPOCH has no effect`;
      sources.emit({ kind: "note", time: Date.now(), message });
      return undefined;
    }
    case "git":
    case "http":
      return findRemoteTime(epoch, sources);
  }
}

interface Remote {
  readonly kind: "git" | "http";
  readonly url: string;
}

function asRemote(context: unknown): Remote | undefined {
  if (typeof context !== "string" || existsSync(context)) return undefined;
  if (parseGitReference(context) !== undefined) return { kind: "git", url: context };
  return /^https?:\/\//.test(context) ? { kind: "http", url: context } : undefined;
}

async function findRemoteTime(
  { kind, url }: Remote,
  { openRemotes, signal }: EpochSources,
): Promise<number | undefined> {
  const remotes = await openRemotes();
  if (kind === "git") return (await remotes.findGit({ url, signal })).commitTime();
  const { mtime } = await remotes.download({ url, signal });
  return mtime === 0 ? undefined : mtime;
}
