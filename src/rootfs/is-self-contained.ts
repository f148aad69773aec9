import { IndexReader } from "./index-reader.ts";
import type { Layer } from "./layer.ts";

/**
 * Whether the layer's materialised form is the same over any layers below: every parent directory but the root is
 * listed, and no link leads out of it. Then it can be shared by diff ID. (What the root of an overlay looks like is
 * decided by its upper directory.)
 */
export function isSelfContained(layer: Layer): boolean {
  using index = new IndexReader(layer.indexPath);
  return !index.hasForeignLinks && index.joints.length === 0;
}
