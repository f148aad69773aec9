import type { RootfsPath } from "./entry.ts";
import { ROOT } from "./rootfs-path.ts";

/** A path on disk; a buffer where text would not name it. */
export function diskPath(directory: string, path: RootfsPath): string | Buffer {
  if (path === ROOT) return directory;
  for (let at = 0; at < path.length; at++) {
    if (path.charCodeAt(at) > 0x7f)
      return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, "latin1")]);
  }
  return `${directory}/${path}`;
}
