import type { WrittenLayer } from "./copy-request.ts";
import type { RootfsPath } from "./entry.ts";
import { openExportedTrees } from "./exported-trees.ts";
import type { Layer } from "./layer.ts";
import { LayerWriter } from "./layer-writer.ts";
import { ROOT } from "./rootfs-path.ts";
import { openUnionTree } from "./union-tree.ts";
import { writeEntry, writeTarEnd } from "./write-entry.ts";

export interface SquashRequest {
  /** All layers of a root file system, bottom first. */
  readonly layers: readonly Layer[];
  readonly layersDirectory: string;
}

/** One layer that shows what many show: without what they hide from each other, and without whiteouts. */
export function squashLayers(
  { layers, layersDirectory }: SquashRequest,
  throwIfAborted: () => void = () => {},
): WrittenLayer {
  using writer = new LayerWriter(layersDirectory);
  writeRoot(writer, layers);
  using trees = openExportedTrees({ trees: [{ layers, label: "", directory: "" }] });
  const linked = new Map<string, RootfsPath>();
  for (const { entry, inode, read } of trees.entries()) {
    throwIfAborted();
    if (inode === undefined) {
      writeEntry(writer, entry, read());
      continue;
    }
    const first = linked.get(inode) ?? entry.path;
    linked.set(inode, first);
    writeEntry(writer, { ...entry, hardLinkOf: first }, read());
  }
  writeTarEnd(writer);
  return writer.finish();
}

/** The root is listed where it is another than the one that every image has without saying so. */
function writeRoot(writer: LayerWriter, layers: readonly Layer[]): void {
  using tree = openUnionTree(layers);
  const { entry } = tree.lookup(ROOT)!;
  if (entry.mode === 0o755 && entry.uid === 0 && entry.gid === 0 && entry.xattrs === undefined) return;
  writeEntry(writer, entry);
}
