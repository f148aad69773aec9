import { existsSync, readdirSync } from "node:fs";
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
