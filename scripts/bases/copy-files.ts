import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Puts `paths` (relative, as they are: links stay links) of `from` in the same places of `to`, as hard links to the same
 * files: quick, and nobody changes either.
 */
export function copyFiles(paths: readonly string[], from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  execFileSync("cp", ["-al", "--parents", "--", ...paths, to], { cwd: from });
}

/** Writes files, and the directories that they need: path to text. */
export function writeFiles(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

/** Makes directories that everybody may write to: mode 1777. */
export function makeTemporaryDirectories(root: string, paths: readonly string[]): void {
  for (const path of paths) {
    mkdirSync(join(root, path), { recursive: true });
    // mkdir's own mode would pass through the umask.
    chmodSync(join(root, path), 0o1777);
  }
}
