import { existsSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";

/** The cgroups in `path` of all hierarchies. */
export function listCgroups(path: string): string[] {
  const hierarchies = [ROOT, ...readdirSync(ROOT).map((name) => join(ROOT, name))];
  return hierarchies
    .map((root) => join(root, path))
    .filter((directory) => existsSync(directory))
    .flatMap((directory) =>
      readdirSync(directory, { withFileTypes: true })
        .filter((item) => item.isDirectory())
        .map(({ name }) => join(directory, name)),
    );
}

/** Removes the empty cgroup at `path` of all hierarchies. */
export function removeCgroups(path: string): void {
  const hierarchies = [ROOT, ...readdirSync(ROOT).map((name) => join(ROOT, name))];
  for (const directory of hierarchies.map((root) => join(root, path)))
    if (existsSync(directory)) rmdirSync(directory);
}
