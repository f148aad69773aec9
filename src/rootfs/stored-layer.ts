import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { type Digest, digestHex } from "../oci/digest.ts";
import { findKeptIndex, publishIndex } from "../store/kept-indexes.ts";
import { findLayerByDiffId, publishLayer, type StoredLayer } from "../store/layers.ts";
import type { Store } from "../store/open-store.ts";
import { removeTree } from "../store/remove-tree.ts";
import type { WrittenLayer } from "./copy-request.ts";
import type { Layer } from "./layer.ts";

/** The names inside a layer's directory. */
export const LAYER_FILES = { index: "index", tar: "tar", directory: "fs" } as const;

/** Where a stored layer's index and bytes are. Each RUN asks for all layers that it stands on, so the paths are not normalised anew. */
export function openStoredLayer(store: Store, stored: StoredLayer): Layer {
  const path = store.layerPath(stored.id);
  return {
    id: stored.id,
    indexPath: `${path}/${LAYER_FILES.index}`,
    content:
      stored.kind === "tar"
        ? { kind: "tar", tarPath: `${path}/${LAYER_FILES.tar}` }
        : { kind: "directory", directoryPath: `${path}/${LAYER_FILES.directory}` },
    ...(stored.diffId && { diffId: stored.diffId }),
  };
}

/**
 * A layer whose index is here: the layer itself, or an index alone (`store/kept-indexes.ts`). Only its entries may be looked at,
 * for the bytes may be gone.
 */
export function findLayerIndex(store: Store, diffId: Digest): Layer | undefined {
  const stored = findLayerByDiffId(store, diffId);
  return stored === undefined ? openKeptIndex(store, diffId) : openStoredLayer(store, stored);
}

function openKeptIndex(store: Store, diffId: Digest): Layer | undefined {
  const indexPath = findKeptIndex(store, digestHex(diffId));
  return indexPath === undefined ? undefined : layerOfIndex(store, diffId, indexPath);
}

function layerOfIndex(store: Store, diffId: Digest, indexPath: string): Layer {
  const id = digestHex(diffId);
  const tarPath = join(store.layerPath(id), LAYER_FILES.tar);
  return { id, indexPath, content: { kind: "tar", tarPath }, diffId };
}

/**
 * Gives `write` a fresh directory to make a tar layer in, and moves the layer into the store. Whatever goes wrong, nothing
 * half-made stays.
 */
export async function storeWrittenLayer<Written extends WrittenLayer>(
  store: Store,
  write: (layersDirectory: string) => Promise<Written>,
): Promise<{ readonly layer: Layer; readonly written: Written }> {
  return inFreshDirectory(store, async (layersDirectory) => {
    const written = await write(layersDirectory);
    const { diffId, tarSizeBytes, layer } = written;
    const stored = { id: layer.id, kind: "tar", diffId, sizeBytes: tarSizeBytes } as const;
    publishLayer(store, stored, join(layersDirectory, layer.id));
    return { layer: openStoredLayer(store, stored), written };
  });
}

/** The same for a layer of which only the index is wanted: `findLayerIndex` has it afterwards. */
export async function storeWrittenIndex<Written extends WrittenLayer>(
  store: Store,
  write: (layersDirectory: string) => Promise<Written>,
): Promise<{ readonly layer: Layer; readonly written: Written }> {
  return inFreshDirectory(store, async (layersDirectory) => {
    const written = await write(layersDirectory);
    const { diffId, layer } = written;
    const indexPath = publishIndex(store, layer.id, layer.indexPath);
    return { layer: layerOfIndex(store, diffId, indexPath), written };
  });
}

async function inFreshDirectory<T>(store: Store, work: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(store.temporaryDirectory, "layer-"));
  try {
    return await work(directory);
  } finally {
    // Nobody waits for it; what is left goes with the store's temporary directory.
    removeTree(directory).catch(() => {});
  }
}
