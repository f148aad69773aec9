import { BuildError } from "../errors/build-error.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { formatImageReference, type ImageReference } from "../oci/reference.ts";
import type { RegistryClient } from "../registry/registry-client.ts";
import type { CopySource, CopyTarget } from "./copy-image.ts";
import { mountKnownBlob, rememberOrigins } from "./mount-known-blob.ts";

interface RegistryPlace {
  readonly registry: RegistryClient;
  readonly reference: ImageReference;
}

type CopyAccess = Pick<ImageAccess, "store" | "signal">;

export function copyFromRegistry({ signal }: CopyAccess, { registry, reference }: RegistryPlace): CopySource {
  const { tag: _, ...untagged } = reference;
  return {
    name: formatImageReference(reference),
    reference,
    resolve: () => registry.resolveManifest(reference, { signal }),
    readManifest: async ({ digest }) =>
      (await registry.resolveManifest({ ...untagged, digest }, { signal })).bytes,
    openBlob: (descriptor, onProgress) => registry.openBlob(reference, descriptor, { signal, onProgress }),
    listReferrers: (digest) => registry.listReferrers(reference, digest, { signal }),
  };
}

/** Remembers which repository has which blob, so that a copy to another one of the registry need not carry it. */
export function copyToRegistry(access: CopyAccess, { registry, reference }: RegistryPlace): CopyTarget {
  const { signal } = access;
  const { tag: _, ...untagged } = reference;
  const blobs: Descriptor[] = [];
  return {
    async writeBlob(descriptor, source, onProgress) {
      blobs.push(descriptor);
      if (await mountKnownBlob(access, registry, { reference, descriptor, from: source.reference })) {
        return "existed";
      }
      return registry.pushBlob(reference, descriptor, () => source.openBlob(descriptor), {
        signal,
        onProgress,
      });
    },
    async writeManifest({ descriptor: { digest, mediaType }, bytes }) {
      await registry.pushManifest({ ...untagged, digest }, mediaType, bytes, { signal });
    },
    async writeRoot({ descriptor: { digest, mediaType }, bytes }) {
      if (reference.digest !== undefined && reference.digest !== digest) {
        throw new BuildError(
          "option-invalid",
          `Cannot copy to "${formatImageReference(reference)}": what is copied has the digest ${digest}`,
        );
      }
      await registry.pushManifest(reference, mediaType, bytes, { signal });
      rememberOrigins(access, { reference, blobs });
    },
  };
}
