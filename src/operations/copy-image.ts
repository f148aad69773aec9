import { BuildError } from "../errors/build-error.ts";
import { copyImage as copyBetween } from "../export/copy-image.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { parseWantedPlatform } from "../oci/machine-platform.ts";
import { parseCopyPlace, withCopySource, withCopyTarget } from "./copy-places.ts";

export interface CopyImageOptions {
  /** Only one of an image for several; all when absent. */
  readonly platform?: string;
  /** Also what refers to it at its registry: signatures, SBOMs. Only from a registry to a registry. */
  readonly withReferrers?: boolean;
}

/**
 * Copies an image as it is, past the store.
 *
 * @param from and `to`: `NAME[:TAG|@DIGEST]` at a registry, `oci:DIRECTORY[:TAG]`, `oci-archive:FILE[:TAG]` or `docker-archive:FILE[:NAME[:TAG]]`.
 * @returns what the target has now.
 * @throws BuildError `option-invalid`, `image-not-found`, `authentication`, `registry`, `verification`, `image-invalid`.
 */
export async function copyImage(
  access: ImageAccess,
  { from, to }: { readonly from: string; readonly to: string },
  { platform, withReferrers }: CopyImageOptions = {},
): Promise<Descriptor> {
  const [source, target] = [parseCopyPlace(from), parseCopyPlace(to)];
  if (withReferrers && [source, target].some(({ kind }) => kind !== "registry")) {
    throw new BuildError("option-invalid", "Cannot copy referrers: only from a registry to a registry");
  }
  const { emit, signal } = access;
  const wanted = platform === undefined ? undefined : parseWantedPlatform(platform);
  return withCopySource(access, { place: source, target }, (opened) =>
    withCopyTarget(access, target, (end) =>
      copyBetween(opened, end, { platform: wanted, withReferrers, emit, signal }),
    ),
  );
}
