import { BuildError } from "../errors/build-error.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { ImageReference } from "../oci/reference.ts";
import type { RegistryClient } from "../registry/registry-client.ts";
import { findBlobOrigins, recordBlobOrigins } from "../store/blob-origins.ts";
import { findDiffIdOfBlob } from "../store/layers.ts";

/**
 * Whether the repository has the blob now without an upload: it had it, or another repository of the same registry lent it. A registry
 * that does not want to mount it gets the bytes. False, too, where no other repository is known to have it.
 */
export async function mountKnownBlob(
  { store, signal }: Pick<ImageAccess, "store" | "signal">,
  registry: RegistryClient,
  {
    reference,
    descriptor,
    from,
  }: {
    readonly reference: ImageReference;
    readonly descriptor: Descriptor;
    /** Where the blob is just being read. */
    readonly from?: ImageReference;
  },
): Promise<boolean> {
  const places = [...(from === undefined ? [] : [from]), ...findBlobOrigins(store, descriptor.digest)];
  const near = places.filter((place) => place.registry === reference.registry);
  const others = new Set(near.map((place) => place.repository));
  const wasHere = others.delete(reference.repository);
  if (wasHere && (await registry.hasBlob(reference, descriptor.digest, { signal }))) return true;
  // A registry also says yes to the mount of what the repository has already.
  for (const repository of others) {
    const isMounted = await registry
      .mountBlob(reference, descriptor.digest, repository, { signal })
      .catch((error: unknown) => {
        // It may be a matter of who may read the other repository; the upload says what is wrong, if it is more.
        if (error instanceof BuildError && !signal.aborted) return false;
        throw error;
      });
    if (isMounted) return true;
  }
  return false;
}

/** For the next push or copy to another repository of the same registry. */
export function rememberOrigins(
  { store }: Pick<ImageAccess, "store">,
  {
    reference: { registry, repository },
    blobs,
  }: { readonly reference: ImageReference; readonly blobs: readonly Descriptor[] },
): void {
  recordBlobOrigins(
    store,
    blobs.map(({ digest, mediaType, size }) => ({
      digest,
      registry,
      repository,
      diffId: findDiffIdOfBlob(store, digest),
      mediaType,
      size,
    })),
  );
}
