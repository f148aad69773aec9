import { BuildError } from "../errors/build-error.ts";
import type { RootfsPath } from "./entry.ts";
import { IndexReader } from "./index-reader.ts";
import type { Layer } from "./layer.ts";
import { Unsettled } from "./layered-tree.ts";
import { bytesFromText, cleanPath, ROOT } from "./rootfs-path.ts";
import { openUpperTree, type UpperTree } from "./union-tree.ts";

/** What it still takes: nothing, the next layer perhaps, or all of them (a directory lets through what is below). */
export type LayersNeeded = "none" | "next" | "all";

export interface SettlePathsRequest {
  /** The upper layers of an image, bottom first. */
  readonly layers: readonly Layer[];
  /** As in a COPY, without wildcards: text, absolute. */
  readonly paths: readonly string[];
  /** What is in a directory does not matter, only what it is itself and where it lies. */
  readonly onlyEntries?: boolean;
  /** What lies beside the paths is looked at, too: a hard link there needs its file, wherever it lies. */
  readonly looksBeside?: boolean;
}

/**
 * How many more layers it takes until every path, symlinks followed, is settled (`openUpperTree`).
 * @param onScan before all that is in a directory is looked at; may throw to stop
 */
export function settlePaths(
  { layers, paths, onlyEntries = false, looksBeside = false }: SettlePathsRequest,
  onScan: () => void = () => {},
): LayersNeeded {
  return whenSettled(() => {
    if (looksBeside) onScan();
    if (looksBeside && layers.some((layer) => hasForeignLinkIn(layer, ROOT))) return "all";
    using tree = openUpperTree(layers);
    let needed: LayersNeeded = "none";
    for (const path of paths) {
      if (!isWhole(tree, cleanPath(bytesFromText(path)), onScan) && !onlyEntries) needed = "all";
    }
    return needed;
  });
}

/** "next" when a question that is asked is not settled. */
export function whenSettled(ask: () => LayersNeeded): LayersNeeded {
  try {
    return ask();
  } catch (error) {
    if (error instanceof Unsettled) return "next";
    throw error;
  }
}

/** Whether no layer below adds to what is at the path. @throws Unsettled */
function isWhole(tree: UpperTree, path: RootfsPath, onScan: () => void): boolean {
  try {
    const { path: resolved, entry } = tree.resolve(path);
    if (entry?.entry.type !== "directory") return true;
    onScan();
    return tree.isClosed(resolved) && !tree.layers.some((layer) => hasForeignLinkIn(layer, resolved));
  } catch (error) {
    // What leads nowhere does so whatever is below, for all of it was settled.
    if (error instanceof BuildError) return true;
    throw error;
  }
}

function hasForeignLinkIn({ indexPath }: Layer, directory: RootfsPath): boolean {
  using index = new IndexReader(indexPath);
  if (!index.hasForeignLinks) return false;
  for (const { foreignLink } of index.scan(directory)) if (foreignLink) return true;
  return false;
}
