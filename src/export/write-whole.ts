import { randomUUID } from "node:crypto";
import { realpath, rename, rm, stat } from "node:fs/promises";
import { explainWrite } from "../errors/explain-write.ts";

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
