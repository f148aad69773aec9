import type { ImageAccess } from "../image/image-access.ts";
import { listLayerInstructions } from "../image/layer-instructions.ts";
import { openStoredImage } from "../image/resolve-image.ts";
import { compareTrees } from "../rootfs/compare-trees.ts";
import { type ImageChange, toImageChange } from "../rootfs/image-file.ts";
import { openUnionTree, type UnionTree } from "../rootfs/union-tree.ts";
import { findImage, type PlatformChoice } from "./find-image.ts";
import { takeBreaths } from "./take-breaths.ts";

/** A change, and where it lies: in the second image, or in the first for what is removed. */
export type LayeredChange = ImageChange & {
  /** From 1, the base's first. */
  readonly layer: number;
  /** The instruction that made the layer, as the history has it; "" when it does not. */
  readonly createdBy: string;
};

/**
 * Which files differ between two images of the store, in the order of their paths. Times do not count. Layers are fetched where they are
 * missing.
 *
 * @throws BuildError `image-not-found`.
 */
export async function* diffImages(
  access: ImageAccess,
  [before, after]: readonly [before: string, after: string],
  choice?: PlatformChoice,
): AsyncGenerator<LayeredChange> {
  const images = [before, after].map((text) => ({ text, image: findImage(access, text, choice) }));
  using from = await openSide(access, images[0]!);
  using to = await openSide(access, images[1]!);
  for await (const change of takeBreaths(compareTrees(from.tree, to.tree), access.signal)) {
    const side = change.kind === "removed" ? from : to;
    const { layer } = change.kind === "removed" ? change.before : change.after;
    yield { ...toImageChange(change), layer: layer + 1, createdBy: side.createdBy[layer] ?? "" };
  }
}

interface Side extends Disposable {
  readonly tree: UnionTree;
  /** What made each layer. */
  readonly createdBy: readonly string[];
}

async function openSide(
  access: ImageAccess,
  { image, text }: { readonly image: ReturnType<typeof findImage>; readonly text: string },
): Promise<Side> {
  const { config, layers } = await openStoredImage(access, image, text);
  const tree = openUnionTree(await Promise.all(layers.map((layer) => layer.load())));
  return {
    tree,
    createdBy: listLayerInstructions(config),
    [Symbol.dispose]: () => tree[Symbol.dispose](),
  };
}
