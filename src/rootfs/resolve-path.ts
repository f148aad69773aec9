import { BuildError } from "../errors/build-error.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { cleanPath, joinPath, parentPath, pathToText, ROOT } from "./rootfs-path.ts";

/** What holds an entry: a node of one tree or another. */
export interface Node {
  readonly entry: Entry;
}

export interface Resolved<Found extends Node> {
  readonly path: RootfsPath;
  /** Absent when nothing is there. */
  readonly entry?: Found;
}

/** More than the kernel follows (40), so that no tree is refused that docker takes. */
const LINK_LIMIT = 255;

/**
 * Follows symlinks as a process in a chroot would, absolute ones from the root. What is missing on the way is taken as it
 * stands.
 * @throws BuildError `copy-failed` on a loop of links or a component that is no directory.
 */
export function resolvePath<Found extends Node>(
  lookup: (path: RootfsPath) => Found | undefined,
  path: string,
  followLast: boolean,
): Resolved<Found> {
  const rest = splitReversed(path);
  let current: Resolved<Found> = { path: ROOT, entry: lookup(ROOT) };
  let links = 0;
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    if (part === "..") {
      const parent = parentPath(current.path);
      current = { path: parent, entry: lookup(parent) };
      continue;
    }
    if (current.entry !== undefined && current.entry.entry.type !== "directory") {
      throw cannotFollow(path, `"${pathToText(current.path)}" is no directory`);
    }
    const next = joinPath(current.path, part);
    const entry = current.entry === undefined ? undefined : lookup(next);
    if (entry?.entry.type !== "symlink" || (rest.length === 0 && !followLast)) {
      current = entry === undefined ? { path: next } : { path: next, entry };
      continue;
    }
    if (++links > LINK_LIMIT) throw cannotFollow(path, "its symlinks lead round in a circle");
    const target = entry.entry.linkTarget!;
    rest.push(...splitReversed(target));
    if (target.startsWith("/")) current = { path: ROOT, entry: lookup(ROOT) };
  }
  return current;
}

function splitReversed(path: string): string[] {
  return path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .reverse();
}

function cannotFollow(path: string, what: string): BuildError {
  return new BuildError("copy-failed", `Cannot follow "${pathToText(cleanPath(path))}": ${what}`);
}
