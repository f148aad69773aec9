import { BuildError } from "../errors/build-error.ts";
import { suggestNearest } from "../errors/suggest-nearest.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { findLocalImage } from "../image/resolve-image.ts";
import { parseWantedPlatform } from "../oci/machine-platform.ts";
import { familiarName, parseImageReference } from "../oci/reference.ts";
import { listTags, type StoredImage } from "../store/images.ts";

/** Which one of an image for several. */
export interface PlatformChoice {
  /** `os/architecture[/variant]`; this machine's when absent, or else whichever the store has. */
  readonly platform?: string;
}

/**
 * The stored image of a name or id.
 *
 * @throws BuildError `image-not-found` with the nearest name as a hint; `option-invalid` for what is no name.
 */
export function findImage(access: ImageAccess, text: string, { platform }: PlatformChoice = {}): StoredImage {
  const found =
    findLocalImage(access, text, parseWantedPlatform(platform)) ??
    (platform === undefined ? findLocalImage(access, text) : undefined);
  if (found !== undefined) return found;
  const names = [
    ...new Set(listTags(access.store).map(({ name }) => familiarName(parseImageReference(name)))),
  ];
  const wanted = familiarName(parseImageReference(text));
  const near = suggestNearest(wanted, names);
  throw new BuildError(
    "image-not-found",
    `Cannot find the image "${text}": the store has none of that name`,
    {
      hint: near === undefined ? "The command slipway images lists what there is" : `Did you mean "${near}"?`,
    },
  );
}
