import { type LimitName, makeLimitError } from "../errors/input-limits.ts";
import { callLocal, type GitContext } from "./fetch-commit.ts";
import { redactRemote } from "./git-environment.ts";
import type { GitRemote } from "./git-remote.ts";
import { GitFailure } from "./run-git.ts";

/**
 * Counts what a checkout would write, before it is written: a few trees that hold each other make a billion files, and a pack of some
 * megabytes a file of gigabytes. A tree that is not there is left to whoever checks it out.
 *
 * @throws BuildError `input-limit`.
 */
export async function measureTree(
  context: GitContext,
  gitDirectory: string,
  { tree, remote }: { readonly tree: string; readonly remote: GitRemote },
): Promise<void> {
  const { limits } = context;
  let entries = 0;
  let bytes = 0;
  let rest = "";
  const check = (limit: LimitName, value: number, what: string) => {
    if (value <= limits[limit]) return;
    throw makeLimitError(limit, `Cannot check out "${redactRemote(remote.address)}": ${what}`, limits);
  };
  const onOutput = (chunk: Buffer) => {
    const records = (rest + chunk.toString("latin1")).split("\0");
    rest = records.pop()!;
    for (const record of records) {
      entries++;
      // What is no file has a dash there.
      bytes += Number(/^\S+ \S+ \S+ +(\d+)\t/.exec(record)?.[1] ?? 0);
    }
    check("archive-entries", entries, "it has more files");
    check("context-size", bytes, "its files are larger");
  };
  try {
    await callLocal(context, gitDirectory, ["ls-tree", "-r", "-t", "-l", "-z", "--full-tree", tree], {
      onOutput,
    });
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error;
  }
}
