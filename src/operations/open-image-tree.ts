import { BuildError } from "../errors/build-error.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { openStoredImage } from "../image/resolve-image.ts";
import { bytesFromText } from "../rootfs/rootfs-path.ts";
import { openUnionTree, type ResolvedPath, type TreeEntry, type UnionTree } from "../rootfs/union-tree.ts";
import type { StoredImage } from "../store/images.ts";

/** The files of a stored image, which are fetched where they are missing. `text` is what the user called it. */
export async function openImageTree(
  access: ImageAccess,
  image: StoredImage,
  text: string,
): Promise<UnionTree> {
  const { layers } = await openStoredImage(access, image, text);
  return openUnionTree(await Promise.all(layers.map((layer) => layer.load())));
}

/** @throws BuildError `copy-source-missing` when nothing is there. */
export function findPath(
  tree: UnionTree,
  path: string,
  options: { readonly name: string; readonly followLast: boolean },
): ResolvedPath & { readonly entry: TreeEntry } {
  const found = tree.resolve(bytesFromText(path), { followLast: options.followLast });
  if (found.entry !== undefined) return { ...found, entry: found.entry };
  throw new BuildError(
    "copy-source-missing",
    `Cannot find "${path}" in "${options.name}": there is no such file`,
  );
}
