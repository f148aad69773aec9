import { BuildError } from "./build-error.ts";
import { FULL_HINT } from "./explain-system-error.ts";

/** @throws BuildError `output-failed` for what the system refuses while an output is written. */
export async function explainWrite<T>(dest: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    // What happened in a worker thread comes without its system call.
    const what = REASONS[code ?? ""] ?? (syscall && `${syscall} fails with ${code}`);
    if (error instanceof BuildError || what === undefined) throw error;
    const hint = code === "ENOSPC" ? FULL_HINT : undefined;
    throw new BuildError("output-failed", `Cannot write "${dest}": ${what}`, { hint, cause: error });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such directory",
  ENOTDIR: "a part of the path is no directory",
  EISDIR: "it is a directory",
  EACCES: "permission is denied",
  EROFS: "the file system is read-only",
  ENOSPC: "no space is left on the file system",
};
