import { lstat, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { callLocal, type GitContext } from "./fetch-commit.ts";
import { GitFailure } from "./run-git.ts";

/** A repository in a repository. */
export interface Submodule {
  /** Relative to the top of the repository, clean. */
  readonly path: string;
  readonly commit: string;
  /** As `.gitmodules` has it: may be relative, may be anything. */
  readonly url: string;
}

/**
 * The submodules of a commit, read without git's own `submodule` command, whose settings come from the repository. One that `.gitmodules`
 * does not describe, or says not to update, is left out.
 */
export async function listSubmodules(
  context: GitContext,
  gitDirectory: string,
  commit: string,
): Promise<Submodule[]> {
  const settings = await readSettings(context, gitDirectory, commit);
  if (settings.length === 0) return [];
  const list = await callLocal(context, gitDirectory, ["ls-tree", "-r", "-z", "--full-tree", commit]);
  const found: Submodule[] = [];
  for (const record of list.split("\0")) {
    const [, hash, path] = /^160000 commit ([0-9a-f]{40})\t(.*)$/s.exec(record) ?? [];
    if (hash === undefined || path === undefined) continue;
    const setting = settings.find((candidate) => candidate.path === path);
    if (setting?.url !== undefined && setting.update !== "none")
      found.push({ path, commit: hash, url: setting.url });
  }
  return found;
}

interface Setting {
  path?: string;
  url?: string;
  update?: string;
}

async function readSettings(context: GitContext, gitDirectory: string, commit: string): Promise<Setting[]> {
  let text: string;
  try {
    const blob = `${commit}:.gitmodules`;
    text = await callLocal(context, gitDirectory, [
      "config",
      "--no-includes",
      "--blob",
      blob,
      "--list",
      "-z",
    ]);
  } catch (error) {
    // There is none, or it is no settings file: then there is nothing to fetch.
    if (error instanceof GitFailure) return [];
    throw error;
  }
  const byName = new Map<string, Setting>();
  for (const record of text.split("\0")) {
    const [, name, key, value] = /^submodule\.(.*)\.(path|url|update)\n(.*)$/s.exec(record) ?? [];
    if (name === undefined) continue;
    const setting = byName.get(name) ?? {};
    byName.set(name, { ...setting, [key!]: value });
  }
  return [...byName.values()];
}

/**
 * The directory for a submodule in a checkout, made if need be.
 *
 * @throws BuildError `fetch-failed` where a link or a file stands in the way: it could lead anywhere.
 */
export async function makeSubmoduleDirectory(checkout: string, path: string): Promise<string> {
  let directory = checkout;
  for (const part of path.split("/")) {
    const isName = part !== "" && part !== "." && part !== ".." && part.toLowerCase() !== ".git";
    directory = join(directory, part);
    const stats = isName ? await lstat(directory).catch(() => undefined) : undefined;
    if (!isName || (stats !== undefined && !stats.isDirectory())) {
      throw new BuildError(
        "fetch-failed",
        `Cannot check out the submodule "${path}": its path is no directory`,
      );
    }
    if (stats === undefined) await mkdir(directory, { mode: 0o755 });
  }
  return directory;
}
