import { statSync, writeFileSync } from "node:fs";
import type { Entry } from "./entry.ts";
import { isSelfContained } from "./is-self-contained.ts";
import { walkView } from "./layer-view.ts";
import { makeErofsImage } from "./make-erofs-image.ts";
import type { MaterialiseRequest } from "./materialise-layer.ts";
import { openLayerOver } from "./union-tree.ts";

export interface LayerErofsRequest extends Pick<MaterialiseRequest, "layer" | "below"> {
  /** Where the metadata goes; nothing must be there. */
  readonly path: string;
}

/**
 * Writes the metadata by which a layer's tar can be mounted where `materialiseLayer` would unpack it: the same tree, without
 * a copy of its bytes.
 *
 * @returns false when the layer needs to be unpacked; then there is no file.
 */
export function writeLayerErofs(request: LayerErofsRequest, throwIfAborted: () => void = () => {}): boolean {
  const { layer, path } = request;
  if (layer.content.kind !== "tar") throw new Error(`layer ${layer.id} is a directory already`);
  using over = openLayerOver(layer, isSelfContained(layer) ? [] : request.below);
  function* describe(): Generator<Entry> {
    for (const entry of walkView(over.view)) {
      throwIfAborted();
      yield entry.implicit ? describeFromBelow(entry) : entry;
    }
  }
  const describeFromBelow = (entry: Entry): Entry => {
    const below = over.below.lookup(entry.path)?.entry;
    if (below?.type !== "directory") return entry;
    return { ...below, path: entry.path, ...(entry.opaque ? { opaque: true } : {}) };
  };
  const image = makeErofsImage(describe(), statSync(layer.content.tarPath).size);
  if (image === undefined) return false;
  writeFileSync(path, image, { flag: "wx", mode: 0o600 });
  return true;
}
