import type { Entry, RootfsPath } from "./entry.ts";
import type { Layer } from "./layer.ts";
import { walkView } from "./layer-view.ts";
import { isWithin } from "./rootfs-path.ts";
import { type LayerOverTree, openLayerOver, type TreeEntry } from "./union-tree.ts";

/** A regular file that an image carries and that nobody sees, because a later layer has something else there. */
export interface HiddenFile {
  readonly path: RootfsPath;
  /** 0 for further names of a file that is counted already. */
  readonly sizeBytes: number;
  /** Position of the layer that has the bytes. */
  readonly layer: number;
  /** Position of the layer that hides them. */
  readonly hiddenBy: number;
  /** "overwritten" when that layer has the path itself, also where only its mode or owner is another. */
  readonly how: "overwritten" | "deleted";
}

/**
 * What the layer at a position hides of the layers below it, in the order of an index. Only indexes are read, as a stream. A file that is
 * hidden once is not seen by later layers, so over all positions every file is told at most once. Yields `undefined` for what hides
 * nothing, so that a caller may take a breath.
 */
export function* findHidden(layers: readonly Layer[], position: number): Generator<HiddenFile | undefined> {
  using over = openLayerOver(layers[position]!, layers.slice(0, position));
  // All below it is told already, whatever else the layer has there.
  let toldBelow: RootfsPath | undefined;
  for (const entry of walkView(over.view)) {
    yield undefined;
    if (toldBelow !== undefined && isWithin(entry.path, toldBelow)) continue;
    if (entry.implicit && !entry.opaque) continue;
    const isMerged = entry.type === "directory" && !entry.opaque;
    const seen = over.below.lookup(entry.path);
    if (seen === undefined || (isMerged && seen.entry.type === "directory")) continue;
    toldBelow = entry.path;
    for (const hidden of over.below.walk(entry.path)) {
      if (hidden.entry.type === "file") yield describe(hidden, over, position);
    }
  }
}

function describe({ entry, layer }: TreeEntry, over: LayerOverTree, hiddenBy: number): HiddenFile {
  const above = over.view.lookup(entry.path);
  const isThere = above !== undefined && above.type !== "whiteout";
  return {
    path: entry.path,
    sizeBytes: ownBytes(entry),
    layer,
    hiddenBy,
    how: isThere ? "overwritten" : "deleted",
  };
}

/** What an entry adds to its layer: a file with several names counts at the first of them. */
export function ownBytes(entry: Entry): number {
  if (entry.type !== "file" || entry.foreignLink) return 0;
  return entry.hardLinkOf === undefined || entry.hardLinkOf === entry.path ? entry.size : 0;
}
