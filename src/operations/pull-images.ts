import { BuildError, type BuildErrorCode } from "../errors/build-error.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { pullImage as pullReference } from "../image/resolve-image.ts";
import type { Digest } from "../oci/digest.ts";
import { parseWantedPlatform } from "../oci/machine-platform.ts";
import { parseUntagged } from "../oci/parse-untagged.ts";
import { formatPlatform } from "../oci/platform.ts";
import { formatImageReference, parseImageReference } from "../oci/reference.ts";

interface PullOptions {
  /** `os/architecture[/variant]`; this machine's when absent. */
  readonly platform?: string;
}

/**
 * Fetches an image with all its layers from its registry. The name changes when all of them are here.
 *
 * @param name `NAME[:TAG|@DIGEST]`
 * @returns the image's id.
 * @throws BuildError `image-not-found`, `authentication`, `registry`, `verification`, `image-invalid`.
 */
export async function pullImage(
  access: ImageAccess,
  name: string,
  { platform }: PullOptions = {},
): Promise<Digest> {
  const options = { platform: parseWantedPlatform(platform), withLayers: true };
  const { configDigest } = await pullReference(access, parseImageReference(name), options);
  return configDigest;
}

/** Distribution spec 1.1, "Referrers Tag Schema": a list of signatures and the like is no image. */
const REFERRERS_TAG = /^sha256-[0-9a-f]{64}$/;

const LEFT_OUT: ReadonlySet<BuildErrorCode> = new Set(["not-image", "image-not-found"]);

/**
 * Fetches all tags that a registry has of a name. Those of signatures and other artifacts, of images for other platforms, and of what is gone
 * are passed over with a note. DIFFERS: docker stops at the first of them.
 *
 * @throws BuildError as `pullImage`.
 */
export async function pullAllTags(
  access: ImageAccess,
  repository: string,
  options: PullOptions = {},
): Promise<void> {
  const name = parseUntagged(repository, "pull");
  const platform = parseWantedPlatform(options.platform);
  const registry = await access.openRegistry();
  const tags = await registry.listTags(name, { signal: access.signal });
  let count = 0;
  for (const tag of tags.filter((tag) => !REFERRERS_TAG.test(tag))) {
    try {
      await pullReference(access, { ...name, tag }, { platform, withLayers: true });
      count++;
    } catch (error) {
      if (!(error instanceof BuildError) || !LEFT_OUT.has(error.code)) throw error;
      access.emit({ kind: "note", time: Date.now(), message: `Left out: ${error.message}` });
    }
  }
  if (count > 0) return;
  const action = `Cannot pull all tags of "${formatImageReference(name)}"`;
  throw new BuildError(
    "image-not-found",
    `${action}: its registry has no image of that name for ${formatPlatform(platform)}`,
  );
}
