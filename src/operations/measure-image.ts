import type { ImageAccess } from "../image/image-access.ts";
import { listLayerInstructions } from "../image/layer-instructions.ts";
import { openStoredImage } from "../image/resolve-image.ts";
import type { Digest } from "../oci/digest.ts";
import { findHidden } from "../rootfs/find-hidden.ts";
import type { Layer } from "../rootfs/layer.ts";
import { type DirectorySize, measureDirectories } from "../rootfs/measure-directories.ts";
import { pathToText, ROOT } from "../rootfs/rootfs-path.ts";
import { openUnionTree } from "../rootfs/union-tree.ts";
import { findLayerBlobs } from "../store/layers.ts";
import { countFiles } from "./count-files.ts";
import { findImage, type PlatformChoice } from "./find-image.ts";
import { keepLargest } from "./keep-largest.ts";
import { measureStages, type StageMeasure } from "./measure-stages.ts";
import { takeBreaths } from "./take-breaths.ts";

/** Sizes are bytes of files, without the tar around them. Layers count from 1, the base's first. */
export interface ImageMeasure {
  readonly id: Digest;
  /** Of all layers. */
  readonly sizeBytes: number;
  /** What of it later layers overwrite or delete. */
  readonly hiddenBytes: number;
  readonly layers: readonly LayerMeasure[];
  /** The biggest ones, with all that is below them. */
  readonly directories: readonly {
    readonly path: string;
    readonly sizeBytes: number;
    readonly fileCount: number;
  }[];
  /** The biggest ones. */
  readonly hidden: readonly {
    readonly path: string;
    readonly sizeBytes: number;
    readonly layer: number;
    readonly hiddenBy: number;
    readonly how: "overwritten" | "deleted";
  }[];
  /** What its build left behind in other stages; absent when no build is remembered that made it. */
  readonly leftBehind?: readonly StageMeasure[];
}

interface LayerMeasure {
  readonly layer: number;
  readonly createdBy: string;
  readonly sizeBytes: number;
  readonly fileCount: number;
  /** As the registry has it, compressed; unknown for what was never exported. */
  readonly compressedBytes?: number;
  /** What of this layer later ones hide. */
  readonly hiddenBytes: number;
}

export interface MeasureOptions extends PlatformChoice {
  /** How many directories and hidden files are named; 10 when absent. */
  readonly top?: number;
}

/**
 * Measures an image of the store by the indexes of its layers, which are fetched where they are missing.
 *
 * @param text a name or an id.
 * @throws BuildError `image-not-found`.
 */
export async function measureImage(
  access: ImageAccess,
  text: string,
  { top = 10, platform }: MeasureOptions = {},
): Promise<ImageMeasure> {
  const image = findImage(access, text, { platform });
  const { signal } = access;
  const { config, layers: lazy } = await openStoredImage(access, image, text);
  const layers = await Promise.all(lazy.map((layer) => layer.load()));
  const hiddenBytes = layers.map(() => 0);
  const hidden = keepLargest<ImageMeasure["hidden"][number]>(top);
  for (const position of layers.keys()) {
    for await (const file of takeBreaths(findHidden(layers, position), signal)) {
      hiddenBytes[file.layer]! += file.sizeBytes;
      hidden.offer({
        ...file,
        path: pathToText(file.path),
        layer: file.layer + 1,
        hiddenBy: file.hiddenBy + 1,
      });
    }
  }
  const createdBy = listLayerInstructions(config);
  const measured: LayerMeasure[] = [];
  for (const [position, layer] of layers.entries()) {
    const compressedBytes =
      lazy[position]!.blob?.size ?? findPackedSize(access, config.rootfs.diff_ids[position]!);
    measured.push({
      layer: position + 1,
      createdBy: createdBy[position]!,
      ...(await countFiles(layer, signal)),
      ...(compressedBytes !== undefined && { compressedBytes }),
      hiddenBytes: hiddenBytes[position]!,
    });
  }
  const leftBehind = await measureStages(access, image.configDigest);
  return {
    id: image.configDigest,
    sizeBytes: sum(measured.map(({ sizeBytes }) => sizeBytes)),
    hiddenBytes: sum(hiddenBytes),
    layers: measured,
    directories: (await listDirectories(layers, { top, signal })).map((directory) => ({
      ...directory,
      path: pathToText(directory.path),
    })),
    hidden: hidden.list(),
    ...(leftBehind !== undefined && { leftBehind }),
  };
}

/** Of a layer that was made here and pushed or exported since. */
function findPackedSize({ store }: ImageAccess, diffId: Digest): number | undefined {
  return findLayerBlobs(store, diffId).find(({ compression }) => compression !== "uncompressed")?.size;
}

async function listDirectories(
  layers: readonly Layer[],
  { top, signal }: { readonly top: number; readonly signal: AbortSignal },
): Promise<readonly DirectorySize[]> {
  using tree = openUnionTree(layers);
  const largest = keepLargest<DirectorySize>(top);
  for await (const directory of takeBreaths(measureDirectories(tree.walk()), signal)) {
    // The root is the image.
    if (directory.path !== ROOT) largest.offer(directory);
  }
  return largest.list();
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
