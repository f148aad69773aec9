import { BuildError } from "./build-error.ts";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or directory",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ELOOP: "its symlinks lead round in a circle",
  ENOSPC: "no space is left on the file system",
  EDQUOT: "the quota of the file system is used up",
  EROFS: "the file system is read-only",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open on this machine",
  EIO: "the disk does not work",
};

/** Why the system refused, in words that go behind a colon. */
export function explainSystemError(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? message;
}

/** What frees space, wherever it is short. */
export const FULL_HINT =
  "Free some: slipway prune removes what no image needs, slipway du shows what there is";

/** What the state of the machine, and no bug, is to blame for. */
const HINTS: Readonly<Record<string, string | undefined>> = {
  ENOSPC: FULL_HINT,
  EDQUOT: FULL_HINT,
  EROFS: "Choose another directory: --root DIR is where the store lies",
  EMFILE: "Raise the limit: ulimit -n",
  ENFILE: undefined,
  EIO: undefined,
};
/** SQLITE_FULL */
const DATABASE_FULL = 13;

/** Makes a BuildError `environment` of a system error that tells of the machine's state; anything else comes back as it is. */
export function blameMachine(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof BuildError) return error;
  const { code, path, errcode = 0 } = error as NodeJS.ErrnoException & { readonly errcode?: number };
  const name = code === "ERR_SQLITE_ERROR" && errcode % 256 === DATABASE_FULL ? "ENOSPC" : code;
  if (name === undefined || !Object.hasOwn(HINTS, name)) return error;
  const what = path === undefined ? "go on" : `write "${path}"`;
  return new BuildError("environment", `Cannot ${what}: ${REASONS[name]}`, {
    hint: HINTS[name],
    cause: error,
  });
}
