import { pushBlobOnce } from "../export/push-image.ts";
import { layerMediaType } from "../image/assemble-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { findLayerForm } from "../image/layer-forms.ts";
import { parseImageReference } from "../oci/reference.ts";
import { makeLimit } from "../solve/limit.ts";
import type { StepResult } from "../solve/step-record.ts";
import type { RegistryCacheTarget } from "./cache-places.ts";

/** Layers under way at the same time: the build's own work comes first. */
const CONCURRENCY = 2;

export interface EarlyPush {
  begin(result: StepResult): void;
  settle(): Promise<void>;
}

/**
 * Compresses and pushes layers while the build goes on. What fails is no failure yet: it is tried, and told, again when the cache is
 * written.
 */
export function pushEarly(access: ImageAccess, target: RegistryCacheTarget): EarlyPush {
  const { compression = "gzip", compressionLevel: level, ociMediaTypes = true, insecure } = target;
  const reference = parseImageReference(target.reference);
  const limit = makeLimit(CONCURRENCY);
  const pushes: Promise<unknown>[] = [];
  const push = async ({ layer }: StepResult): Promise<void> => {
    access.signal.throwIfAborted();
    const { digest, size, fetch, ...form } = await findLayerForm(access, layer, { compression, level });
    const descriptor = { mediaType: layerMediaType(form.compression, !ociMediaTypes), digest, size };
    await pushBlobOnce(access, { descriptor, reference, insecure, fetch });
  };
  return {
    begin(result) {
      if (result.layer.mustBeMade) return;
      const pushing = limit(() => push(result));
      pushing.catch(() => {});
      pushes.push(pushing);
    },
    async settle() {
      await Promise.allSettled(pushes);
    },
  };
}
