import type { Source, SourceStep } from "../plan/plan.ts";
import { reportStep } from "./report-step.ts";
import type { SourceContext } from "./solve-plan.ts";
import type { Solved } from "./solved.ts";

type RemoteSource = Extract<Source, { kind: "git" | "http" }>;

/**
 * ADD's URL or git repository. What it is now (a digest, a commit) enters the keys of the steps that use it; where that is
 * said beforehand (`--checksum`, a commit) nobody is asked, and what comes from the cache is not fetched.
 */
export function solveRemote(step: SourceStep, source: RemoteSource, context: SourceContext): Promise<Solved> {
  const { signal } = context.access;
  return reportStep(step, context, async ({ progress }): Promise<Solved> => {
    const remotes = await context.openRemotes();
    if (source.kind === "git") {
      const repository = await remotes.findGit({ ...source, signal });
      return {
        kind: "files",
        recordId: `git ${repository.id}`,
        async open() {
          const directory = await repository.checkOut();
          return { kind: "directory", directory, ignorePatterns: [] };
        },
      };
    }
    if (source.checksum !== undefined) {
      const open = () => remotes.download({ ...source, signal });
      return { kind: "download", recordId: `http ${source.checksum}`, open };
    }
    const onProgress = (doneBytes: number, totalBytes?: number) =>
      progress("downloaded", { doneBytes, totalBytes });
    const file = await remotes.download({ ...source, signal, onProgress });
    return { kind: "download", recordId: `http ${file.digest}`, open: async () => file };
  });
}
