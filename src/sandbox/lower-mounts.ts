import { mkdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { EROFS_BLOCK, makeErofsImage } from "../rootfs/make-erofs-image.ts";
import { ROOT } from "../rootfs/rootfs-path.ts";
import { isDisabled } from "./disabled-features.ts";
import type { LowerDirectory } from "./holder-protocol.ts";
import { mountErofs, mountOverlay, unmountAside } from "./mount.ts";

/** Lower directories that have to be mounted first; they stay mounted as long as the holder lives. */
export interface LowerMounts {
  /** Where the directory is. */
  open(lower: LowerDirectory): string;
}

export function makeLowerMounts(directory: string): LowerMounts {
  const mounted = new Map<string, string>();
  mkdirSync(directory);
  return {
    open(lower) {
      if (typeof lower === "string") return lower;
      let target = mounted.get(lower.metadataPath);
      if (target === undefined) {
        target = join(directory, mounted.size.toString(36));
        mkdirSync(target);
        mountErofs(lower, target);
        mounted.set(lower.metadataPath, target);
      }
      return target;
    },
  };
}

/**
 * Whether this kernel mounts a layer's tar from its metadata (Linux 6.12), and takes it as the lower directory of an overlay:
 * not where the store itself is on an overlay, for they may only be stacked so high. What it takes to see that goes while the caller goes on.
 *
 * @param scratchDirectory a directory that is not there yet, on the store's file system
 */
export function probeErofs(scratchDirectory: string): {
  readonly works: boolean;
  readonly whenGone: Promise<unknown>;
} {
  const mounted: string[] = [];
  const works = mountBoth(scratchDirectory, mounted);
  const whenGone = Promise.all(mounted.map(unmountAside)).then(() =>
    rm(scratchDirectory, { recursive: true, force: true }),
  );
  return { works, whenGone };
}

/** `mounted` gets what is mounted, the topmost first. */
function mountBoth(scratchDirectory: string, mounted: string[]): boolean {
  if (isDisabled("erofs") || isDisabled("fsopen")) return false;
  const path = (name: string) => join(scratchDirectory, name);
  try {
    mkdirSync(scratchDirectory);
    for (const name of ["lower", "upper", "work", "links", "root"]) mkdirSync(path(name));
    const root = {
      path: ROOT,
      type: "directory",
      mode: 0o755,
      uid: 0,
      gid: 0,
      size: 0,
      mtime: 0,
      mtimeNs: 0,
    } as const;
    writeFileSync(path("metadata"), makeErofsImage([root], EROFS_BLOCK)!);
    writeFileSync(path("data"), Buffer.alloc(EROFS_BLOCK));
    mountErofs({ metadataPath: path("metadata"), dataPath: path("data") }, path("lower"));
    mounted.unshift(path("lower"));
    const target = path("root");
    mountOverlay({
      target,
      lowerDirectories: [path("lower")],
      upperDirectory: path("upper"),
      workDirectory: path("work"),
      linkDirectory: path("links"),
    });
    mounted.unshift(target);
    return true;
  } catch {
    return false;
  }
}
