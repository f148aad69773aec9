import { GitFailure, runGit } from "./run-git.ts";

/**
 * The time of the newest commit that a directory is a checkout of (or a part of one), in seconds since 1970; undefined where it is none.
 *
 * The repository is not believed: its settings may name programs for `git log` and `git status` to run, so git is asked for the commit as
 * it is stored, for which it runs none, and may not fetch what is missing.
 *
 * @throws BuildError `environment` where there is no git; the signal's reason.
 */
export async function readCheckoutTime(directory: string, signal: AbortSignal): Promise<number | undefined> {
  try {
    const commit = await runGit(["cat-file", "commit", "HEAD"], {
      directory,
      environment: process.env,
      home: "/nonexistent",
      protocols: "none",
      knownHostsPath: "/dev/null",
      variables: { GIT_NO_LAZY_FETCH: "1" },
      signal,
    });
    const seconds = /^committer .* (\d+) [-+]\d{4}$/m.exec(commit)?.[1];
    return seconds === undefined ? undefined : Number(seconds);
  } catch (error) {
    if (error instanceof GitFailure) return undefined;
    throw error;
  }
}
