import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import type { Layer } from "../rootfs/layer.ts";
import type { LayersNeeded } from "../rootfs/settle-paths.ts";

export interface WantedLayers {
  readonly layers: readonly LazyLayer[];
  /** How many more it takes below those that are given, bottom first. */
  readonly settle: (upper: readonly Layer[]) => Promise<LayersNeeded>;
  /** Only the indexes are looked into: the bytes of what is given back need not be here. */
  readonly onlyIndexes?: boolean;
}

/**
 * The upper layers of a root file system, bottom first, from the top one down to the one that settles a question, so that what lies
 * deeper is never downloaded. A layer whose index is here, from an earlier time, answers without being fetched.
 */
export async function loadUpperLayers({ layers, settle, onlyIndexes }: WantedLayers): Promise<Layer[]> {
  const known = layers.map((layer) => layer.findIndex());
  const isKnown = (at: number) => known[at] !== undefined;
  const bring = ({ loadIndex, load }: LazyLayer) => (onlyIndexes && loadIndex ? loadIndex() : load());
  const indexOf = async (at: number) => known[at] ?? (await bring(layers[at]!));
  const upper: Layer[] = [];
  let needed: LayersNeeded = onlyIndexes && known.every((_, at) => isKnown(at)) ? "all" : "next";
  for (let at = layers.length - 1; at >= 0 && needed === "next"; at--) {
    upper.unshift(await indexOf(at));
    // Nothing is saved by asking before what is here was looked into.
    if (at > 0 && !(onlyIndexes && isKnown(at - 1))) needed = await settle(upper);
  }
  const first = needed === "all" ? 0 : layers.length - upper.length;
  if (!onlyIndexes) return Promise.all(layers.slice(first).map((layer) => layer.load()));
  const rest = layers.slice(first, layers.length - upper.length).map((_, at) => indexOf(first + at));
  return [...(await Promise.all(rest)), ...upper];
}

export interface WantedPaths {
  readonly layers: readonly LazyLayer[];
  /** Absolute text, without wildcards. */
  readonly paths: readonly string[];
  /** Only what the paths are themselves matters, not their bytes nor what is in directories. */
  readonly onlyEntries?: boolean;
  /** The layers are walked or mounted as they are: `settle-paths.ts`. */
  readonly looksBeside?: boolean;
}

/** The upper layers that say what some paths are. */
export function loadLayersOfPaths(
  { layers, paths, onlyEntries = false, looksBeside = false }: WantedPaths,
  { work, signal }: ImageAccess,
): Promise<Layer[]> {
  return loadUpperLayers({
    layers,
    settle: (upper) => work.settlePaths({ layers: upper, paths, onlyEntries, looksBeside }, { signal }),
    onlyIndexes: onlyEntries,
  });
}

/** The upper layers in which users and groups are looked up by name. */
export function loadUserLayers(layers: readonly LazyLayer[], access: ImageAccess): Promise<Layer[]> {
  return loadLayersOfPaths({ layers, paths: ["/etc/passwd", "/etc/group"] }, access);
}
