import { constants, open, realpath } from "node:fs/promises";
import { relative } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { explainSystemError } from "../errors/explain-system-error.ts";
import { type InputLimits, makeLimitError } from "../errors/input-limits.ts";
import type { DockerfileText } from "./context-tree.ts";

/**
 * Reads the ignore file that the user names.
 *
 * @throws BuildError `context`, `input-limit`.
 */
export async function readIgnoreFile(
  path: string | undefined,
  limits: InputLimits,
): Promise<DockerfileText | undefined> {
  if (path === undefined) return undefined;
  try {
    return { file: path, bytes: await readInputFile(path, { limits }) };
  } catch (error) {
    if (error instanceof BuildError) throw error;
    const reason = explainSystemError(error);
    throw new BuildError("context", `Cannot read the ignore file "${path}": ${reason}`, { cause: error });
  }
}

/**
 * Reads a Dockerfile or ignore file that may come with files of strangers: never more than the limit, whatever `stat` says of it, and
 * nothing outside `directory`, where it is given, for a path inside it.
 *
 * @throws BuildError `input-limit`, `context`; what the system says when it cannot be read.
 */
export async function readInputFile(
  path: string,
  {
    directory,
    limits,
    name = path,
  }: {
    readonly directory?: string;
    readonly limits: InputLimits;
    /** What messages call it. */
    readonly name?: string;
  },
): Promise<Uint8Array> {
  const isStrange = directory !== undefined && isInside(path, directory);
  if (isStrange) {
    const real = await realpath(path);
    if (!isInside(real, await realpath(directory))) {
      throw new BuildError(
        "context",
        `Cannot read "${name}": it is a symlink that leads out of the build context`,
        { hint: name === path ? `If you trust it, name it with -f ${real}` : undefined },
      );
    }
  }
  // A fifo in a context would be waited for until the end of days; one that the user names is read (`-f <(...)`).
  await using file = await open(path, constants.O_RDONLY | (isStrange ? constants.O_NONBLOCK : 0));
  const stats = await file.stat();
  if (!stats.isFile() && isStrange) {
    throw new BuildError("context", `Cannot read "${name}": it is no regular file`);
  }
  const pieces: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(65_536), 0, 65_536);
    if (bytesRead === 0) return Buffer.concat(pieces);
    size += bytesRead;
    checkInputSize(size, name, limits);
    pieces.push(buffer.subarray(0, bytesRead));
  }
}

/** @throws BuildError `input-limit`. */
export function checkInputSize(size: number, name: string, limits: InputLimits): void {
  if (size > limits["dockerfile-size"]) {
    throw makeLimitError("dockerfile-size", `Cannot read "${name}": it is larger`, limits);
  }
}

function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way !== ".." && !way.startsWith("../");
}
