import { createHash } from "node:crypto";
import type { Digest } from "../oci/digest.ts";
import type { Layer } from "./layer.ts";
import { tarChunks } from "./tar-chunks.ts";

export interface LayerDigest {
  readonly diffId: Digest;
  readonly tarSizeBytes: number;
}

/**
 * The diff ID of a layer's tar, which is hashed and written nowhere: an image of the store needs no more.
 * @param onRead for each piece of the tar; may throw to stop
 */
export function digestLayer(layer: Layer, onRead: (sizeBytes: number) => void = () => {}): LayerDigest {
  const hash = createHash("sha256");
  let tarSizeBytes = 0;
  for (const chunk of tarChunks(layer)) {
    onRead(chunk.length);
    hash.update(chunk);
    tarSizeBytes += chunk.length;
  }
  return { diffId: `sha256:${hash.digest("hex")}`, tarSizeBytes };
}
