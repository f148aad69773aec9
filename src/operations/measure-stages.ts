import type { ImageAccess } from "../image/image-access.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { openStoredLayer } from "../rootfs/stored-layer.ts";
import { hasBlob, readJsonBlob } from "../store/blobs.ts";
import { findBuildOfImage } from "../store/builds.ts";
import { countFiles } from "./count-files.ts";

/** What the steps of one stage made and the image does not have. Sizes are bytes of files, before anything overwrites them. */
export interface StageMeasure {
  /** As the build names it. */
  readonly stage: string;
  readonly stepCount: number;
  readonly sizeBytes: number;
  readonly fileCount: number;
}

/**
 * What the build of an image left behind in its other stages, the biggest first; without the layers of the images that those stand on, without
 * those of its images for other platforms and targets, and without what has been pruned.
 *
 * @returns undefined when no build is remembered that made the image.
 */
export async function measureStages(
  { store, signal }: ImageAccess,
  imageId: Digest,
): Promise<readonly StageMeasure[] | undefined> {
  const build = findBuildOfImage(store, imageId);
  if (build === undefined) return undefined;
  const inImages = new Set<Digest>();
  for (const id of build.imageIds.filter((one) => hasBlob(store, one))) {
    const { rootfs } = await readJsonBlob<ImageConfig>(store, id);
    for (const diffId of rootfs.diff_ids) inImages.add(diffId);
  }
  const stages = new Map<string, StageMeasure>();
  const counted = new Set<string>();
  for (const { stage, layer } of build.layers) {
    // Two steps with the same result take its place once.
    if ((layer.diffId !== undefined && inImages.has(layer.diffId)) || counted.has(layer.id)) continue;
    counted.add(layer.id);
    const { sizeBytes, fileCount } = await countFiles(openStoredLayer(store, layer), signal);
    const known = stages.get(stage) ?? { stage, stepCount: 0, sizeBytes: 0, fileCount: 0 };
    stages.set(stage, {
      stage,
      stepCount: known.stepCount + 1,
      sizeBytes: known.sizeBytes + sizeBytes,
      fileCount: known.fileCount + fileCount,
    });
  }
  return [...stages.values()].sort((one, other) => other.sizeBytes - one.sizeBytes);
}
