import { randomUUID } from "node:crypto";
import { realpath, rename, rm, stat } from "node:fs/promises";
import { BuildError } from "../errors/build-error.ts";

/**
 * Makes a file that appears whole or not at all: `write` fills one beside it, which is then renamed. A device or a pipe (`/dev/stdout`) is
 * written to itself, for a rename would put a file in its place.
 *
 * @throws BuildError `output-failed` for what the system refuses.
 */
export async function writeWhole(path: string, write: (path: string) => Promise<void>): Promise<void> {
  await explainWrite(path, async () => {
    // What a link stands for: /dev/stdout leads to the file that the output was sent to.
    const target = await realpath(path).catch(() => path);
    const found = await stat(target).catch(() => undefined);
    if (found !== undefined && !found.isFile() && !found.isDirectory()) return write(target);
    const temporary = `${target}.${randomUUID()}.tmp`;
    try {
      await write(temporary);
      await rename(temporary, target);
    } finally {
      await rm(temporary, { force: true });
    }
  });
}

/** @throws BuildError `output-failed` for what the system refuses while an output is written. */
export async function explainWrite<T>(dest: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    // What happened in a worker thread comes without its system call.
    const what = REASONS[code ?? ""] ?? (syscall && `${syscall} fails with ${code}`);
    if (error instanceof BuildError || what === undefined) throw error;
    throw new BuildError("output-failed", `Cannot write "${dest}": ${what}`, { cause: error });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such directory",
  ENOTDIR: "a part of the path is no directory",
  EISDIR: "it is a directory",
  EACCES: "permission is denied",
  EROFS: "the file system is read-only",
  ENOSPC: "no space is left on the device",
};
