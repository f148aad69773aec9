import { BuildError } from "../errors/build-error.ts";
import { DEFAULT_LIMITS } from "../errors/input-limits.ts";
import type { RootfsPath } from "./entry.ts";
import { pathToText } from "./rootfs-path.ts";

/**
 * A directory may lie deeper than a path can be long, for a program may go down step by step. But nothing could unpack it from a layer, and
 * what reads layers refuses it (the limit `name-size`).
 * @throws BuildError `input-limit`.
 */
export function checkPathLength(path: RootfsPath): void {
  const limit = DEFAULT_LIMITS["name-size"];
  if (path.length <= limit) return;
  throw new BuildError(
    "input-limit",
    `Cannot put "${pathToText(path.slice(0, 60) as RootfsPath)}..." into a layer: its path has ${path.length} bytes, Linux takes no more than ${limit}`,
  );
}
