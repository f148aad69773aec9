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
 * The time that SOURCE_DATE_EPOCH comes to, in seconds since 1970: a number as it is; a repository's commit, also when it is checked out
 * in a directory; a download's Last-Modified. Another directory has no time: its files' times depend on who wrote them.
 *
 * @throws BuildError `fetch-failed`; `environment` where there is no git.
 */
export async function findEpoch(epoch: Epoch, sources: EpochSources): Promise<number | undefined> {
  switch (epoch.kind) {
    case "time":
      return epoch.seconds;
    case "context": {
      const context = sources.contextOf(epoch.name);
      const remote = asRemote(context);
      const time =
        remote === undefined
          ? await findCheckoutTime(context, sources)
          : await findRemoteTime(remote, sources);
      if (time !== undefined) return time;
      const message = `the context "${epoch.name}" has no time of its own, as a commit or a download has: SOURCE_DATE_EPOCH has no effect`;
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

async function findCheckoutTime(context: unknown, { signal }: EpochSources): Promise<number | undefined> {
  if (typeof context !== "string" || !existsSync(context)) return undefined;
  const { readCheckoutTime } = await import("../context/checkout-time.ts");
  return readCheckoutTime(context, signal);
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
