import type { LazyLayer } from "../image/image-access.ts";
import type { Layer } from "../rootfs/layer.ts";

/** Makes a layer ready to be mounted, over those below it. */
export type PrepareLayer = (layer: Layer, below: readonly Layer[]) => Promise<unknown>;

/**
 * Loads the layers that a RUN stands on, and prepares each as soon as it and all below it are here: while the others are still
 * on their way. A failure is that of loading; what fails to be prepared is tried, and told, again when it is mounted.
 */
export async function loadRunLayers(layers: readonly LazyLayer[], prepare: PrepareLayer): Promise<Layer[]> {
  const loading = layers.map((layer) => layer.load());
  // All are awaited below; one may fail before its turn.
  for (const one of loading) one.catch(() => {});
  const loaded: Layer[] = [];
  for (const one of loading) {
    const layer = await one;
    // What a RUN made is mounted as it is.
    if (layer.content.kind === "tar") prepare(layer, [...loaded]).catch(() => {});
    loaded.push(layer);
  }
  return loaded;
}
