import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import type { EventSink } from "../progress/event.ts";
import { tellLongWork } from "../progress/tell-long-work.ts";
import { openIndex } from "../rootfs/index-reader.ts";
import { isSelfContained } from "../rootfs/is-self-contained.ts";
import type { Layer } from "../rootfs/layer.ts";
import type { LayerWork } from "../rootfs/layer-work.ts";
import { areFew } from "../rootfs/when-small.ts";
import { temporaryPath } from "../store/blobs.ts";
import { findMaterialised, publishMaterialised } from "../store/layers.ts";
import { acquireLock } from "../store/locks.ts";
import type { Store } from "../store/open-store.ts";
import { removeTree } from "../store/remove-tree.ts";
import type { LowerDirectory } from "./holder-protocol.ts";

export interface Materialiser {
  /**
   * The layers, bottom first, as directories that can be an overlay's lowers, bottom first; at least one. With `hasErofs` a layer that
   * is a tar is mounted, not unpacked. A layer that comes several times is there once, at its topmost place, and one that has nothing
   * in it is left out: the kernel looks at each when it mounts them.
   */
  materialise(layers: readonly Layer[], options: MaterialiseOptions): Promise<LowerDirectory[]>;
  /** Tells that a layer will be asked for, which takes long where it is not there: what does it starts. */
  expect(layer: Layer, below: readonly Layer[]): void;
  /** The same for one layer over those below it, bottom first. */
  materialiseOne(layer: Layer, below: readonly Layer[], options: MaterialiseOptions): Promise<LowerDirectory>;
}

export interface MaterialiseOptions {
  readonly hasErofs: boolean;
  readonly signal: AbortSignal;
}

interface Place {
  readonly layer: Layer;
  readonly below: readonly Layer[];
  readonly key: string;
}

/**
 * Turns layers into directories, each once: a RUN's layer is one already, others are unpacked, several at once. Layers whose
 * form depends on what is below them are kept for each chain of layers that they stand on.
 */
export function makeMaterialiser(
  store: Store,
  { work, emit = () => {} }: { readonly work: LayerWork; readonly emit?: EventSink },
): Materialiser {
  const underWay = new Map<string, Promise<LowerDirectory>>();
  // What is used during a build stays.
  const known = new Map<string, LowerDirectory>();
  const selfContained = new Map<string, boolean>();
  const filled = new Map<string, boolean>();

  const keyOf = (layer: Layer, below: readonly Layer[]): string =>
    remember(selfContained, layer, isSelfContained) ? layer.id : chainKey([...below, layer]);

  const find = (key: string, dataPath: string, hasErofs: boolean): LowerDirectory | undefined => {
    const name = hasErofs ? erofsKey(key) : key;
    const before = known.get(name);
    if (before !== undefined) return before;
    const directory = findMaterialised(store, key);
    const metadataPath = directory === undefined && hasErofs ? findMaterialised(store, name) : undefined;
    const found = metadataPath === undefined ? directory : { metadataPath, dataPath };
    if (found !== undefined) known.set(name, found);
    return found;
  };

  const materialiseOne = async (
    layer: Layer,
    below: readonly Layer[],
    { hasErofs, signal }: MaterialiseOptions,
  ): Promise<LowerDirectory> => {
    if (layer.content.kind === "directory") return layer.content.directoryPath;
    const dataPath = layer.content.tarPath;
    const key = keyOf(layer, below);
    const existing = find(key, dataPath, hasErofs);
    if (existing !== undefined) return existing;
    const running = underWay.get(key);
    if (running !== undefined) return running;
    const place = { layer, below, key };
    const making = (async () => {
      // Another process may be at it.
      using _lock = await acquireLock(store, `materialise ${key}`, signal);
      const made = find(key, dataPath, hasErofs);
      if (made !== undefined) return made;
      const described = hasErofs ? await describe(place, signal) : undefined;
      return described === undefined ? await unpack(place, signal) : { metadataPath: described, dataPath };
    })().finally(() => underWay.delete(key));
    underWay.set(key, making);
    return making;
  };

  const describe = async ({ layer, below, key }: Place, signal: AbortSignal): Promise<string | undefined> => {
    const path = temporaryPath(store);
    try {
      if (!(await work.writeLayerErofs({ layer, below, path }, { signal }))) return undefined;
      return publishMaterialised(store, { key: erofsKey(key), layerId: layer.id, directory: path });
    } finally {
      await rm(path, { force: true });
    }
  };

  const unpack = async ({ layer, below, key }: Place, signal: AbortSignal): Promise<string> => {
    const directory = temporaryPath(store);
    try {
      const told = { id: `unpack ${key}`, name: `unpack layer ${layer.id.slice(0, 12)}`, label: "unpacked" };
      await tellLongWork({ emit, signal }, told, (onProgress) =>
        work.materialiseLayer({ layer, below, directory }, { signal, onProgress }),
      );
      return publishMaterialised(store, { key, layerId: layer.id, directory });
    } finally {
      await removeTree(directory);
    }
  };

  return {
    expect(layer, below) {
      if (layer.content.kind === "directory" || areFew(countEntries(layer))) return;
      if (find(keyOf(layer, below), layer.content.tarPath, true) === undefined) work.warmUp();
    },
    materialiseOne,
    async materialise(layers, options) {
      const lowers = await Promise.all(
        layers.map((layer, position) =>
          layer.content.kind === "directory"
            ? layer.content.directoryPath
            : materialiseOne(layer, layers.slice(0, position), options),
        ),
      );
      const wanted = lowers.filter((_, position) => remember(filled, layers[position]!, hasEntries));
      return withoutRepeated(wanted.length === 0 ? lowers.slice(0, 1) : wanted);
    },
  };
}

/** The kernel takes no directory twice (ELOOP); whatever the lower one says of a path, the upper one says, too. */
function withoutRepeated(lowers: readonly LowerDirectory[]): LowerDirectory[] {
  const nameOf = (lower: LowerDirectory) => (typeof lower === "string" ? lower : lower.metadataPath);
  const topmost = new Map(lowers.map((lower, position) => [nameOf(lower), position]));
  return lowers.filter((lower, position) => topmost.get(nameOf(lower)) === position);
}

/** Besides its root, whose metadata an overlay takes from the upper directory. */
function hasEntries(layer: Layer): boolean {
  return countEntries(layer) > 1;
}

function countEntries({ indexPath }: Layer): number {
  using index = openIndex(indexPath);
  return index.count;
}

/** A layer's index is read once: what is so stays so. */
function remember(kept: Map<string, boolean>, layer: Layer, read: (layer: Layer) => boolean): boolean {
  const value = kept.get(layer.id) ?? read(layer);
  kept.set(layer.id, value);
  return value;
}

function erofsKey(key: string): string {
  return `erofs-${key}`;
}

/** Names the layer at this place: like a chain ID (image spec 1.1, config.md), over layer ids. */
function chainKey(layers: readonly Layer[]): string {
  const hash = createHash("sha256");
  for (const layer of layers) hash.update(`${layer.id}\n`);
  return `chain-${hash.digest("hex")}`;
}
