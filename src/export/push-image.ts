import { createReadStream } from "node:fs";
import { BuildError } from "../errors/build-error.ts";
import type { WrittenManifest } from "../image/assemble-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { familiarName, type ImageReference } from "../oci/reference.ts";
import { failEvent } from "../progress/fail-event.ts";
import type { RegistryClient } from "../registry/registry-client.ts";
import { findBlobOrigins, recordBlobOrigins } from "../store/blob-origins.ts";
import { hasBlob, readBlob } from "../store/blobs.ts";
import { findDiffIdOfBlob } from "../store/layers.ts";

export interface PushRequest {
  readonly root: Descriptor;
  readonly manifests: readonly WrittenManifest[];
  /** The registry may speak plain HTTP or show a certificate that nobody signed. */
  readonly insecure?: boolean;
  /** Under the root's digest only; the reference's tag is not touched. */
  readonly byDigest?: boolean;
}

/**
 * Pushes images: blobs first, then manifests, the tag last, so that a registry never shows half of it. A blob that another
 * repository of the registry is known to have is mounted from there; one that is nowhere but at its base's registry is fetched first.
 *
 * @throws BuildError `registry`, `authentication`.
 */
export async function pushImage(
  access: ImageAccess,
  reference: ImageReference,
  image: PushRequest,
): Promise<void> {
  const { store, signal } = access;
  const { insecure } = image;
  const registry = await access.openRegistry({ insecure });
  const blobs = new Map(
    image.manifests
      .flatMap(({ manifest }) => [...manifest.layers, manifest.config])
      .map((blob) => [blob.digest, blob]),
  );
  const fetches = new Map(image.manifests.flatMap(({ missing }) => [...(missing ?? [])]));
  await Promise.all(
    [...blobs.values()].map((descriptor) =>
      pushBlobOnce(access, { reference, descriptor, insecure, fetch: fetches.get(descriptor.digest) }),
    ),
  );
  rememberOrigins(access, { reference, blobs: [...blobs.values()] });
  const isIndex = image.manifests.every(({ descriptor }) => descriptor.digest !== image.root.digest);
  const { tag: _, ...untagged } = reference;
  if (isIndex) {
    for (const { descriptor } of image.manifests) {
      const bytes = await readBlob(store, descriptor.digest);
      await registry.pushManifest({ ...untagged, digest: descriptor.digest }, descriptor.mediaType, bytes, {
        signal,
      });
    }
  }
  const name = image.byDigest ? { ...untagged, digest: image.root.digest } : reference;
  await registry.pushManifest(name, image.root.mediaType, await readBlob(store, image.root.digest), {
    signal,
  });
}

/** Pushes a blob of the store unless the repository has it, or may mount it. `fetch` brings it into the store. */
export async function pushBlobOnce(
  access: ImageAccess,
  blob: {
    readonly reference: ImageReference;
    readonly descriptor: Descriptor;
    readonly insecure?: boolean;
    readonly fetch?: () => Promise<void>;
  },
): Promise<void> {
  const { store, signal } = access;
  const { reference, descriptor, insecure, fetch } = blob;
  const registry = await access.openRegistry({ insecure });
  await reportPush(access, { descriptor, reference }, async (onProgress) => {
    if (await mountBlob(access, registry, { reference, descriptor })) return "existed";
    if (!hasBlob(store, descriptor.digest)) await fetch?.();
    const open = () => createReadStream(store.blobPath(descriptor.digest));
    return registry.pushBlob(reference, descriptor, open, { signal, onProgress });
  });
}

/** Whether the repository has the blob now without an upload. A registry that does not want to mount it gets the bytes. */
async function mountBlob(
  { store, signal }: ImageAccess,
  registry: RegistryClient,
  { reference, descriptor }: { readonly reference: ImageReference; readonly descriptor: Descriptor },
): Promise<boolean> {
  const origins = findBlobOrigins(store, descriptor.digest).filter(
    (origin) => origin.registry === reference.registry,
  );
  if (origins.length === 0) return false;
  if (await registry.hasBlob(reference, descriptor.digest, { signal })) return true;
  for (const { repository } of origins) {
    if (repository === reference.repository) continue;
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

/** For the next push to another repository of the same registry. */
function rememberOrigins(
  { store }: ImageAccess,
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

async function reportPush(
  { emit, signal }: ImageAccess,
  { descriptor, reference }: { readonly descriptor: Descriptor; readonly reference: ImageReference },
  push: (onProgress: (doneBytes: number) => void) => Promise<"existed" | "pushed">,
): Promise<void> {
  const id = `push ${familiarName(reference)} ${descriptor.digest}`;
  const label = descriptor.digest.slice(0, 19);
  emit({ kind: "start", time: Date.now(), id, name: `push ${familiarName(reference)} ${label}` });
  try {
    const outcome = await push((doneBytes) =>
      emit({ kind: "progress", time: Date.now(), id, label, doneBytes, totalBytes: descriptor.size }),
    );
    emit({ kind: "end", time: Date.now(), id, outcome: outcome === "existed" ? "cached" : "done" });
  } catch (error) {
    emit(failEvent(id, error, signal));
    throw error;
  }
}
