import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { BuildError } from "../errors/build-error.ts";
import type { Digest } from "../oci/digest.ts";
import { freeUsedUp } from "../threads/free-buffers.ts";

/** A file's digest and size in bytes. @throws BuildError `option-invalid` when it cannot be read. */
export async function measureFile(
  path: string,
  signal: AbortSignal,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  const hash = createHash("sha256");
  let size = 0;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) {
      hash.update(chunk);
      size += chunk.length;
      freeUsedUp(chunk);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw new BuildError("option-invalid", `Cannot read "${path}": ${(error as Error).message}`, {
      cause: error,
    });
  }
  return { digest: `sha256:${hash.digest("hex")}`, size };
}
