import { open } from "node:fs/promises";
import type { BuildError } from "../errors/build-error.ts";

/**
 * A file of at most so many bytes, whatever it claims to be.
 *
 * @throws what `refuse` makes of a larger one; the system's error when it cannot be read.
 */
export async function readFileWithin(
  path: string,
  refuse: () => BuildError,
  maxBytes: number,
): Promise<Buffer> {
  await using file = await open(path, "r");
  const stats = await file.stat();
  if (!stats.isFile()) throw new Error("it is no regular file");
  if (stats.size > maxBytes) throw refuse();
  return file.readFile();
}
