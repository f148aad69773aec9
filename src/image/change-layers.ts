import type { HistoryEntry } from "../oci/image-config.ts";
import type { WrittenLayer } from "../rootfs/copy-request.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { findRecord, writeRecord } from "../store/records.ts";
import type { BuiltImage } from "./assemble-image.ts";
import type { ImageAccess, LazyLayer } from "./image-access.ts";
import { findDiffId } from "./layer-forms.ts";
import { openStepLayer } from "./lazy-layer.ts";

/** `clamp`: what is later than the time that was asked for gets it; `all`: everything does. */
export type TimeRewrite = "clamp" | "all";

/** Gives the files of the layers that the build made other times. A base's layers stay as they are. */
export async function rewriteLayers(
  access: ImageAccess,
  image: BuiltImage,
  { seconds, all }: { readonly seconds: number; readonly all: boolean },
): Promise<BuiltImage> {
  const layers = await Promise.all(
    image.layers.map(async (layer) => {
      if (layer.created === undefined) return layer;
      const key = `rewrite-times-1 ${await findDiffId(access, layer)} ${seconds}${all ? " all" : ""}`;
      return makeOnce(access, { key, created: layer.created }, async (layersDirectory) =>
        access.work.rewriteTimes(
          { layer: await layer.load(), seconds, all, layersDirectory },
          { signal: access.signal },
        ),
      );
    }),
  );
  return { ...image, layers };
}

/** What becomes one layer: the whole image (`all`), what the build added to the base image (`new`), or what one stage did. */
export type Squash = "all" | "new" | { readonly stage: string };

/** Puts one layer, with one history entry, in place of many. The steps' own layers stay in the cache. */
export async function squashImage(access: ImageAccess, image: BuiltImage, what: Squash): Promise<BuiltImage> {
  const { kept, end } = findSquashed(image.layers, what);
  if (kept === end) return image;
  const below = image.layers.slice(0, end);
  const ids = await Promise.all(below.map((layer) => findDiffId(access, layer)));
  const created = Math.max(...below.map((layer) => layer.created ?? 0)) || latest(image.config.history);
  const layer = await makeOnce(
    access,
    { key: `squash-1 ${kept} ${ids.join(" ")}`, created },
    async (layersDirectory) =>
      access.work.squashLayers(
        { layers: await Promise.all(below.map((one) => one.load())), kept, layersDirectory },
        { signal: access.signal },
      ),
  );
  const entry = {
    created_by: "slipway build --squash",
    comment: `${end - kept} layers in one`,
  };
  const above = typeof what === "string" ? [] : historyAbove(image.config.history, end);
  const history: HistoryEntry[] = [...historyOf(image.config.history, kept), entry, ...above];
  return {
    ...image,
    layers: [...image.layers.slice(0, kept), layer, ...image.layers.slice(end)],
    config: { ...image.config, history },
  };
}

/** The layers from `kept` on and below `end` become one. */
function findSquashed(layers: readonly LazyLayer[], what: Squash): { kept: number; end: number } {
  const end = layers.length;
  if (what === "all") return { kept: 0, end };
  const isOne = (layer: LazyLayer) =>
    what === "new" ? layer.created !== undefined : layer.stage === what.stage;
  const kept = layers.findIndex(isOne);
  return kept < 0 ? { kept: end, end } : { kept, end: layers.findLastIndex(isOne) + 1 };
}

/** The entries after the one that made the last of so many layers. */
function historyAbove(history: readonly HistoryEntry[] = [], layers: number): readonly HistoryEntry[] {
  let count = 0;
  const last = history.findIndex((entry) => !entry.empty_layer && ++count === layers);
  return last < 0 ? [] : history.slice(last + 1);
}

/** The entries up to a number of layers, with those after the last of them that the base has, too: only they are dated yet. */
function historyOf(history: readonly HistoryEntry[] = [], layers: number): readonly HistoryEntry[] {
  if (layers === 0) return [];
  const above = historyAbove(history, layers);
  const own = above.findIndex((entry) => !entry.empty_layer || entry.created === undefined);
  return history.slice(0, history.length - above.length + (own < 0 ? above.length : own));
}

/** Makes a layer from other layers, or finds it in the cache, where prune finds it, too. */
async function makeOnce(
  { store }: ImageAccess,
  { key, created }: { readonly key: string; readonly created: number },
  write: (layersDirectory: string) => Promise<WrittenLayer>,
): Promise<LazyLayer> {
  const found = findRecord(store, key);
  let layerId = found?.layerId;
  if (layerId === undefined) {
    const { layer } = await storeWrittenLayer(store, write);
    layerId = layer.id;
    writeRecord(store, { id: key, layerId, created }, [
      { key, parts: JSON.stringify({ kind: key.split(" ")[0] }) },
    ]);
  }
  return openStepLayer(store, { layerId, created });
}

function latest(history: readonly HistoryEntry[] = []): number {
  return Math.max(0, ...history.map(({ created }) => Date.parse(created ?? "") || 0));
}
