import { createReadStream } from "node:fs";
import type { WrittenManifest } from "../image/assemble-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { type Descriptor, isForeign } from "../oci/descriptor.ts";
import { familiarName, type ImageReference } from "../oci/reference.ts";
import { failEvent } from "../progress/fail-event.ts";
import { hasBlob, readBlob } from "../store/blobs.ts";
import type { EarlyUploads } from "./early-uploads.ts";
import { mountKnownBlob, rememberOrigins } from "./mount-known-blob.ts";

export interface PushRequest {
  readonly root: Descriptor;
  readonly manifests: readonly WrittenManifest[];
  /** The registry may speak plain HTTP or show a certificate that nobody signed. */
  readonly insecure?: boolean;
  /** Under the root's digest only; the reference's tag is not touched. */
  readonly byDigest?: boolean;
  /** To the same place, of layers that were compressed for this push. */
  readonly early?: EarlyUploads;
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
  const { insecure, early } = image;
  const registry = await access.openRegistry({ insecure });
  const blobs = new Map(
    image.manifests
      .flatMap(({ manifest }) => [...manifest.layers, manifest.config])
      .filter((blob) => !isForeign(blob))
      .map((blob) => [blob.digest, blob]),
  );
  const fetches = new Map(image.manifests.flatMap(({ missing }) => [...(missing ?? [])]));
  await Promise.all(
    [...blobs.values()].map((descriptor) =>
      pushBlobOnce(access, {
        reference,
        descriptor,
        insecure,
        early,
        fetch: fetches.get(descriptor.digest),
      }),
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
    readonly early?: EarlyUploads;
    readonly fetch?: () => Promise<void>;
  },
): Promise<void> {
  const { store, signal } = access;
  const { reference, descriptor, insecure, early, fetch } = blob;
  const registry = await access.openRegistry({ insecure });
  await reportPush(access, { descriptor, reference }, async (onProgress) => {
    const upload = await early?.find(descriptor.digest);
    if (
      (await mountKnownBlob(access, registry, { reference, descriptor })) ||
      (upload !== undefined && (await registry.hasBlob(reference, descriptor.digest, { signal })))
    ) {
      await upload?.cancel();
      return "existed";
    }
    if (await upload?.commit(descriptor, { onProgress })) return "pushed";
    if (!hasBlob(store, descriptor.digest)) await fetch?.();
    const open = () => createReadStream(store.blobPath(descriptor.digest));
    return registry.pushBlob(reference, descriptor, open, { signal, onProgress });
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
    emit(failEvent(id, error, signal));
    throw error;
  }
}
