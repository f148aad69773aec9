import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import type { CopyStep, StepId } from "../plan/plan.ts";
import type { Layer } from "../rootfs/layer.ts";
import { hasWildcard } from "../rootfs/match-glob.ts";

/**
 * The layers that a COPY from a root file system has to look into, bottom first: from the top one down to the one that settles every
 * path, so that what lies deeper is never downloaded. Globs, `--parents` and directories that let lower layers through need them all.
 */
export async function loadCopiedLayers(
  {
    step,
    from,
    layers,
  }: { readonly step: CopyStep; readonly from: StepId; readonly layers: readonly LazyLayer[] },
  { work, signal }: ImageAccess,
): Promise<Layer[]> {
  const paths = step.sources.flatMap((source) =>
    source.kind !== "inline" && source.from === from ? [source.path] : [],
  );
  const loaded: Layer[] = [];
  const isWide = step.parents || paths.some((path) => hasWildcard(path) || path.includes("\\"));
  let needed = isWide ? "all" : "next";
  while (needed === "next" && loaded.length < layers.length) {
    loaded.unshift(await layers[layers.length - loaded.length - 1]!.load());
    if (loaded.length < layers.length) needed = await work.settlePaths({ layers: loaded, paths }, { signal });
  }
  if (needed !== "all") return loaded;
  const rest = layers.slice(0, layers.length - loaded.length);
  return [...(await Promise.all(rest.map((layer) => layer.load()))), ...loaded];
}
