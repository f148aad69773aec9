import type { AssembledImage, WrittenManifest } from "../image/assemble-image.ts";
import { findImageDifference, type ImageDifference } from "../image/compare-images.ts";
import type { ImageAccess, ResolvedImage } from "../image/image-access.ts";
import { listLayerInstructions } from "../image/layer-instructions.ts";
import { resolveImage } from "../image/resolve-image.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";

/** How an image that was built again compares with the first one, on one platform. */
export interface Reproduction {
  /** The first one, as the user called it. */
  readonly original: string;
  readonly platform: string;
  /**
   * `equal`: the same config and the same layers, byte for byte. `recompressed`: the same config, so the same diff IDs, but layers that
   * another encoder or level compressed.
   */
  readonly outcome: "equal" | "recompressed" | "different";
  /** Of what is different. */
  readonly difference?: ImageDifference;
  /** What made the layer in which the difference lies, as the history says it. */
  readonly createdBy?: string;
}

/**
 * Finds the image that a build is to reproduce, for each of its platforms: before the build, which takes longer.
 *
 * @throws BuildError as `resolveImage`.
 */
export function findOriginals(
  access: ImageAccess,
  text: string,
  platforms: readonly Platform[],
): Promise<readonly ResolvedImage[]> {
  return Promise.all(platforms.map((platform) => resolveImage(access, text, { platform })));
}

export interface BuiltAgain {
  /** What the user called the originals. */
  readonly name: string;
  readonly images: readonly AssembledImage[];
  readonly manifests: readonly WrittenManifest[];
}

/** Compares what was built, with its manifests, with the originals of the same platforms. */
export function compareWithOriginals(
  originals: readonly ResolvedImage[],
  { name, images, manifests }: BuiltAgain,
): Promise<Reproduction[]> {
  return Promise.all(
    originals.map(async (original, position): Promise<Reproduction> => {
      const image = images[position]!;
      const found = { original: name, platform: formatPlatform(image.platform) };
      const difference = await findImageDifference(original, image);
      if (difference === undefined) {
        const isEqual = hasSameBlobs(original, manifests[position]!);
        return { ...found, outcome: isEqual ? "equal" : "recompressed" };
      }
      return { ...found, outcome: "different", difference, ...originOf(difference, original, image) };
    }),
  );
}

/** An image that never left its store has no compressed layers to compare. */
function hasSameBlobs({ layers }: ResolvedImage, { manifest }: WrittenManifest): boolean {
  return layers.every(({ blob }, i) => blob === undefined || blob.digest === manifest.layers[i]?.digest);
}

function originOf(
  difference: ImageDifference,
  original: ResolvedImage,
  image: AssembledImage,
): Pick<Reproduction, "createdBy"> {
  if (difference.kind === "config") return {};
  const isGone = difference.kind === "file" && difference.change.kind === "removed";
  const createdBy = listLayerInstructions((isGone ? original : image).config)[difference.layer];
  return createdBy ? { createdBy } : {};
}
