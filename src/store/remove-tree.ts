import { lstatSync, opendirSync, rmdirSync, rmSync, unlinkSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";

/** How long others wait for their turn: a call of its own thread for each file would take five times as long in all. */
const BREATH_MS = 10;
/** In bytes: to remove what is larger may take longer than that. */
const LARGE_BYTES = 16 << 20;
/** How many entries of a directory are read at a time. */
const BATCH = 64;

const SLASH = Buffer.from("/");

/**
 * Removes a file, or a directory with all that is in it, if it is there; also what lies deeper than a path can be long. Memory does not grow
 * with the number of files, as it does with Node's `rm`, which asks for all of a directory at once.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await remove(Buffer.from(path), { last: performance.now() });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENAMETOOLONG") throw error;
    // This one goes down by descriptors, but holds up the thread: only for what is left.
    rmSync(path, { recursive: true, force: true });
  }
}

/** When others had their turn. */
interface Breath {
  last: number;
}

/** Paths are bytes: a name need not be UTF-8. */
async function remove(path: Buffer, breath: Breath): Promise<void> {
  if (performance.now() - breath.last > BREATH_MS) {
    await setImmediate();
    breath.last = performance.now();
  }
  try {
    if ((lstatSync(path, { throwIfNoEntry: false })?.size ?? 0) > LARGE_BYTES) await unlink(path);
    else unlinkSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return;
    // POSIX has EPERM for a directory, Linux EISDIR.
    if (code !== "EISDIR" && code !== "EPERM") throw error;
    await removeDirectory(path, error, breath);
  }
}

async function removeDirectory(path: Buffer, unlinkError: unknown, breath: Breath): Promise<void> {
  try {
    using directory = opendirSync(path, { encoding: "latin1", bufferSize: BATCH });
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      const below = Buffer.concat([path, SLASH, Buffer.from(entry.name, "latin1")]);
      if (entry.isDirectory()) await removeDirectory(below, unlinkError, breath);
      else await remove(below, breath);
    }
    rmdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Somebody else removes it, too.
    if (code === "ENOENT") return;
    throw code === "ENOTDIR" ? unlinkError : error;
  }
}
