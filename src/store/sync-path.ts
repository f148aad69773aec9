import { open } from "node:fs/promises";

/** Waits until a file or a directory is on the disk as it is now. */
export async function syncPath(path: string | Buffer): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
