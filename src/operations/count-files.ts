import { ownBytes } from "../rootfs/find-hidden.ts";
import { IndexReader } from "../rootfs/index-reader.ts";
import type { Layer } from "../rootfs/layer.ts";
import { ROOT } from "../rootfs/rootfs-path.ts";
import { takeBreaths } from "./take-breaths.ts";

/** How many files a layer has, and their bytes. Hard links count as files, and their bytes once. */
export async function countFiles(
  layer: Layer,
  signal: AbortSignal,
): Promise<{ readonly sizeBytes: number; readonly fileCount: number }> {
  using index = new IndexReader(layer.indexPath);
  let sizeBytes = 0;
  let fileCount = 0;
  for await (const entry of takeBreaths(index.scan(ROOT), signal)) {
    sizeBytes += ownBytes(entry);
    if (entry.type !== "directory" && entry.type !== "whiteout") fileCount++;
  }
  return { sizeBytes, fileCount };
}
