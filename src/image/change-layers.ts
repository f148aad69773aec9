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

/** `all`: the whole image becomes one layer; `new`: what the build added to the base image does. */
export type Squash = "all" | "new";

/** Puts one layer, with one history entry, in place of many. The steps' own layers stay in the cache. */
export async function squashImage(access: ImageAccess, image: BuiltImage, what: Squash): Promise<BuiltImage> {
  const kept = what === "all" ? 0 : image.layers.findIndex((layer) => layer.created !== undefined);
  if (kept < 0 || image.layers.length === 0) return image;
  const ids = await Promise.all(image.layers.map((layer) => findDiffId(access, layer)));
  const created =
    Math.max(...image.layers.map((layer) => layer.created ?? 0)) || latest(image.config.history);
  const layer = await makeOnce(
    access,
    { key: `squash-1 ${kept} ${ids.join(" ")}`, created },
    async (layersDirectory) =>
      access.work.squashLayers(
        { layers: await Promise.all(image.layers.map((one) => one.load())), kept, layersDirectory },
        { signal: access.signal },
      ),
  );
  const entry = {
    created_by: "slipway build --squash",
    comment: `${image.layers.length - kept} layers in one`,
  };
  const history: HistoryEntry[] = [...historyOf(image.config.history, kept), entry];
  return {
    ...image,
    layers: [...image.layers.slice(0, kept), layer],
    config: { ...image.config, history },
  };
}

/** The entries up to a number of layers, with those after the last of them that the base has, too: only they are dated yet. */
function historyOf(history: readonly HistoryEntry[] = [], layers: number): readonly HistoryEntry[] {
  let count = 0;
  const end = history.findIndex((entry) => {
    if (!entry.empty_layer) count++;
    return count > layers || (count === layers && entry.created === undefined);
  });
  return layers === 0 ? [] : history.slice(0, end < 0 ? history.length : end);
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
