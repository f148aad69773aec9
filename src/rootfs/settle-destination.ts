import { BuildError } from "../errors/build-error.ts";
import { CopyDestination } from "./copy-destination.ts";
import type { Layer } from "./layer.ts";
import { joinPath } from "./rootfs-path.ts";
import type { PlainSelection } from "./select-copy.ts";
import { SelectionReader } from "./selection-file.ts";
import { type LayersNeeded, whenSettled } from "./settle-paths.ts";
import { openUpperTree } from "./union-tree.ts";

export interface SettleDestinationRequest<Selection = PlainSelection> {
  readonly selection: Selection;
  /** The upper layers of the destination, bottom first. */
  readonly layers: readonly Layer[];
}

/**
 * How many more layers of its destination it takes to write a COPY: every directory on the way, and what lies where something
 * goes, must be settled. Asks what `writeCopyLayer` asks. An archive's members are known only when it is unpacked.
 */
export function settleDestination({ selection, layers }: SettleDestinationRequest): LayersNeeded {
  if (selection.items.some(({ mayUnpack }) => mayUnpack)) return "all";
  return whenSettled(() => {
    using tree = openUpperTree(layers);
    using reader = new SelectionReader(selection.selectionPath);
    const destination = new CopyDestination(tree, selection.request.destination);
    try {
      for (const item of selection.items) {
        const place = destination.place(item);
        for (let offset = item.start; offset < item.end; ) {
          const { selected, next } = reader.read(offset);
          tree.lookup(joinPath(place, selected.entry.path));
          offset = next;
        }
      }
    } catch (error) {
      // What cannot be placed: so it is whatever is below, for all of it was settled.
      if (!(error instanceof BuildError)) throw error;
    }
    return "none";
  });
}
