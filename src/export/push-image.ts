import { createReadStream } from "node:fs";
import type { WrittenManifest } from "../image/assemble-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { familiarName, type ImageReference } from "../oci/reference.ts";
import { readBlob } from "../store/blobs.ts";

/**
 * Pushes images whose blobs the store holds: blobs first, then manifests, the tag last, so that a registry never shows half of it.
 *
 * @throws BuildError `registry`, `authentication`.
 */
export async function pushImage(
  access: ImageAccess,
  reference: ImageReference,
  image: { readonly root: Descriptor; readonly manifests: readonly WrittenManifest[] },
): Promise<void> {
  const { store, signal } = access;
  const registry = await access.openRegistry();
  const blobs = new Map(
    image.manifests
      .flatMap(({ manifest }) => [...manifest.layers, manifest.config])
      .map((blob) => [blob.digest, blob]),
  );
  await Promise.all(
    [...blobs.values()].map((descriptor) =>
      reportPush(access, { descriptor, reference }, (onProgress) =>
        registry.pushBlob(reference, descriptor, () => createReadStream(store.blobPath(descriptor.digest)), {
          signal,
          onProgress,
        }),
      ),
    ),
  );
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
  await registry.pushManifest(reference, image.root.mediaType, await readBlob(store, image.root.digest), {
    signal,
  });
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
    emit({ kind: "end", time: Date.now(), id, outcome: signal.aborted ? "canceled" : "failed" });
    throw error;
  }
}
