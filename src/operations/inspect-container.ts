import type { ImageAccess } from "../image/image-access.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { readJsonBlob } from "../store/blobs.ts";
import { findContainer, type StoredContainer } from "../store/containers.ts";
import { findImage } from "../store/images.ts";

export interface InspectedContainer extends StoredContainer {
  /** Of its image; absent when that is gone. */
  readonly config?: ImageConfig;
}

/** What there is to know of a container; undefined when there is none of that name or id. */
export async function inspectContainer(
  { store }: ImageAccess,
  name: string,
): Promise<InspectedContainer | undefined> {
  const container = findContainer(store, name);
  if (container === undefined) return undefined;
  const image = findImage(store, container.configDigest);
  return { ...container, config: image && (await readJsonBlob<ImageConfig>(store, image.configDigest)) };
}
