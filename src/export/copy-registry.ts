import { BuildError } from "../errors/build-error.ts";
import { formatImageReference, type ImageReference } from "../oci/reference.ts";
import type { RegistryClient } from "../registry/registry-client.ts";
import type { CopySource, CopyTarget } from "./copy-image.ts";

interface RegistryPlace {
  readonly registry: RegistryClient;
  readonly reference: ImageReference;
  readonly signal: AbortSignal;
}

export function copyFromRegistry({ registry, reference, signal }: RegistryPlace): CopySource {
  const { tag: _, ...untagged } = reference;
  return {
    name: formatImageReference(reference),
    reference,
    resolve: () => registry.resolveManifest(reference, { signal }),
    readManifest: async ({ digest }) =>
      (await registry.resolveManifest({ ...untagged, digest }, { signal })).bytes,
    openBlob: (descriptor, onProgress) => registry.openBlob(reference, descriptor, { signal, onProgress }),
  };
}

export function copyToRegistry({ registry, reference, signal }: RegistryPlace): CopyTarget {
  const { tag: _, ...untagged } = reference;
  return {
    async writeBlob(descriptor, source, onProgress) {
      const from = source.reference;
      if (from?.registry === reference.registry) {
        if (await registry.hasBlob(reference, descriptor.digest, { signal })) return "existed";
        // That it may not be mounted is no failure: then it is carried over.
        const isMounted = await registry
          .mountBlob(reference, descriptor.digest, from.repository, { signal })
          .catch((error: unknown) => {
            if (error instanceof BuildError && !signal.aborted) return false;
            throw error;
          });
        if (isMounted) return "existed";
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
    },
  };
}
