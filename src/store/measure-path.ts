import type { Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Store } from "./open-store.ts";

/**
 * What a file or directory takes on disk, in bytes; a file with several names counts once. What is gone counts nothing, nor does what lies
 * deeper than a path can be long (path_resolution(7)).
 */
export async function measurePath(path: string): Promise<number> {
  const seen = new Set<number>();
  const measure = async (at: string): Promise<number> => {
    const stats = await ifThere(lstat(at));
    if (stats === undefined) return 0;
    let bytes = takesSpace(stats, seen) ? stats.blocks * 512 : 0;
    if (stats.isDirectory()) {
      for (const name of (await ifThere(readdir(at))) ?? []) bytes += await measure(join(at, name));
    }
    return bytes;
  };
  return measure(path);
}

/** The same for what never changes once it is there (`path` is relative to the store): measured once. */
export async function measureKept(store: Store, path: string): Promise<number> {
  const known = store.database.prepare("SELECT bytes FROM sizes WHERE path = ?").get(path);
  if (known !== undefined) return known.bytes as number;
  const bytes = await measurePath(join(store.root, path));
  store.database.prepare("INSERT OR REPLACE INTO sizes VALUES (?, ?)").run(path, bytes);
  return bytes;
}

/** What is or was at a path, relative to the store, is another thing from now on. */
export function forgetSize({ database }: Store, path: string): void {
  database.prepare("DELETE FROM sizes WHERE path = ?").run(path);
}

function takesSpace(stats: Stats, seen: Set<number>): boolean {
  if (stats.nlink === 1 || stats.isDirectory()) return true;
  if (seen.has(stats.ino)) return false;
  seen.add(stats.ino);
  return true;
}

async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENAMETOOLONG") return undefined;
    throw error;
  }
}
