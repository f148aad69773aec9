import { rmSync } from "node:fs";
import { rm } from "node:fs/promises";

/** Removes a file, or a directory with all that is in it, if it is there; also what lies deeper than a path can be long. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENAMETOOLONG") throw error;
    // This one goes down by descriptors, but holds up the thread: only for what is left.
    rmSync(path, { recursive: true, force: true });
  }
}
