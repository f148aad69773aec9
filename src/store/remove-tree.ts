import { type Dirent, rmSync } from "node:fs";
import { opendir, rmdir, unlink } from "node:fs/promises";

/** How many entries of a directory are read, and removed, at a time. */
const BATCH = 64;

const SLASH = Buffer.from("/");

/**
 * Removes a file, or a directory with all that is in it, if it is there; also what lies deeper than a path can be long. Memory does not grow
 * with the number of files, as it does with Node's `rm`, which asks for all of a directory at once.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await remove(Buffer.from(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENAMETOOLONG") throw error;
    // This one goes down by descriptors, but holds up the thread: only for what is left.
    rmSync(path, { recursive: true, force: true });
  }
}

/** Paths are bytes: a name need not be UTF-8. */
async function remove(path: Buffer): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return;
    // POSIX has EPERM for a directory, Linux EISDIR.
    if (code !== "EISDIR" && code !== "EPERM") throw error;
    await removeDirectory(path, error);
  }
}

async function removeDirectory(path: Buffer, unlinkError: unknown): Promise<void> {
  let batch: Dirent[] = [];
  const removeBatch = async (): Promise<void> => {
    const entries = batch;
    batch = [];
    const below = ({ name }: Dirent) => Buffer.concat([path, SLASH, Buffer.from(name, "latin1")]);
    const isDirectory = (entry: Dirent) => entry.isDirectory();
    await Promise.all(entries.filter((entry) => !isDirectory(entry)).map((entry) => remove(below(entry))));
    // One after the other, so that no more than a batch is under way at each depth.
    for (const entry of entries.filter(isDirectory)) await removeDirectory(below(entry), unlinkError);
  };
  try {
    for await (const entry of await opendir(path, { encoding: "latin1", bufferSize: BATCH })) {
      batch.push(entry);
      if (batch.length >= BATCH) await removeBatch();
    }
    await removeBatch();
    await rmdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Somebody else removes it, too.
    if (code === "ENOENT") return;
    throw code === "ENOTDIR" ? unlinkError : error;
  }
}
