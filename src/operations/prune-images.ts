import type { ImageAccess } from "../image/image-access.ts";
import { familiarName, parseImageReference } from "../oci/reference.ts";
import { listContainers } from "../store/containers.ts";
import { listTags, removeImage } from "../store/images.ts";
import type { ImageFilters } from "./filter-images.ts";
import { listImages } from "./list-images.ts";
import type { RemovedImages } from "./remove-image.ts";

export interface PruneImagesOptions extends Omit<ImageFilters, "isDangling"> {
  /** Also those with a name. */
  readonly all?: boolean;
}

/**
 * Removes images that have no name and that no container stands on.
 *
 * @returns one for each image.
 * @throws BuildError as `listImages`.
 */
export async function pruneImages(
  access: ImageAccess,
  { all = false, ...filters }: PruneImagesOptions = {},
): Promise<readonly RemovedImages[]> {
  const { store } = access;
  const used = new Set(listContainers(store).map(({ configDigest }) => configDigest));
  const listed = await listImages(access, { ...filters, ...(!all && { isDangling: true }) });
  const ids = new Set(listed.map(({ configDigest }) => configDigest).filter((id) => !used.has(id)));
  const names = Map.groupBy(listTags(store), ({ configDigest }) => configDigest);
  return [...ids].map((id) => {
    const own = new Set(names.get(id)?.map(({ name }) => name));
    removeImage(store, id);
    return { untagged: [...own].map((name) => familiarName(parseImageReference(name))), deleted: [id] };
  });
}
