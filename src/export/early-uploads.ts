import type { ImageAccess } from "../image/image-access.ts";
import type { Digest } from "../oci/digest.ts";
import type { ImageReference } from "../oci/reference.ts";
import type { RegistryClient } from "../registry/registry-client.ts";
import type { StreamedUpload } from "../registry/stream-blob.ts";
import type { GrowingBlob } from "../store/growing-blob.ts";

/**
 * Uploads blobs while they are being compressed, as docker does. Nothing here fails: a blob that did not get through is pushed in the
 * usual way, and what is wrong is told then.
 */
export class EarlyUploads implements AsyncDisposable {
  readonly #access: ImageAccess;
  readonly #target: { readonly reference: ImageReference; readonly insecure?: boolean };
  readonly #uploads = new Map<GrowingBlob, Promise<StreamedUpload | undefined>>();

  constructor(
    access: ImageAccess,
    target: { readonly reference: ImageReference; readonly insecure?: boolean },
  ) {
    this.#access = access;
    this.#target = target;
  }

  /** For `WantedForm`. */
  readonly follow = (blob: GrowingBlob): void => {
    const { openRegistry, signal } = this.#access;
    const { reference, insecure } = this.#target;
    const begin = (registry: RegistryClient) => registry.streamBlob(reference, () => blob.read(), { signal });
    const upload = openRegistry({ insecure })
      .then(begin)
      .catch(() => undefined);
    this.#uploads.set(blob, upload);
  };

  /** The upload of a blob that is whole now. */
  async find(digest: Digest): Promise<StreamedUpload | undefined> {
    const [, upload] = [...this.#uploads].find(([blob]) => blob.digest === digest) ?? [];
    return upload;
  }

  /** Gives up what is not committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#uploads.values()].map(async (upload) => (await upload)?.cancel()));
  }
}
