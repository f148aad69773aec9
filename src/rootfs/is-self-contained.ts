import type { Layer } from "./layer.ts";

/**
 * Whether the layer's materialised form is the same over any layers below: every parent directory but the root is
 * listed, and no hard link leads out of it. Then it can be shared by diff ID.
 */
export function isSelfContained(_layer: Layer): boolean {
  throw new Error("not yet");
}
