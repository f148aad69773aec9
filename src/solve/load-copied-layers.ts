import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import type { CopyStep, StepId } from "../plan/plan.ts";
import type { Layer } from "../rootfs/layer.ts";
import { hasWildcard } from "../rootfs/match-glob.ts";
import { loadLayersOfPaths } from "./load-upper-layers.ts";

/**
 * The layers that a COPY from a root file system has to look into, bottom first. Globs, and directories that let lower layers through, need
 * them all.
 */
export async function loadCopiedLayers(
  {
    step,
    from,
    layers,
  }: { readonly step: CopyStep; readonly from: StepId; readonly layers: readonly LazyLayer[] },
  access: ImageAccess,
): Promise<Layer[]> {
  const paths = step.sources.flatMap((source) =>
    source.kind !== "inline" && source.from === from ? [source.path] : [],
  );
  // Where `..` leads from a pivot is not where it leads in a path.
  const isWide = paths.some(
    (path) => hasWildcard(path) || path.includes("\\") || (step.parents && path.includes("/..")),
  );
  if (isWide) return Promise.all(layers.map((layer) => layer.load()));
  return loadLayersOfPaths({ layers, paths, looksBeside: step.parents }, access);
}
