import type { ImageAccess } from "../image/image-access.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { matchGlob } from "../rootfs/match-glob.ts";
import { readJsonBlob } from "../store/blobs.ts";
import { findImage } from "./find-image.ts";
import type { ListedImage } from "./list-images.ts";

/** What docker's `--filter` has; an image must pass all of them. */
export interface ImageFilters {
  /** Whether it has no name. */
  readonly isDangling?: boolean;
  /** `NAME` or `NAME=VALUE`, each of which it has. */
  readonly labels?: readonly string[];
  /** Images that are newer than it. */
  readonly before?: readonly string[];
  /** Images that are older than it. */
  readonly since?: readonly string[];
  /** Patterns of Go's path.Match, one of which matches its name, with or without the tag. */
  readonly references?: readonly string[];
  /** In milliseconds since 1970. */
  readonly createdBefore?: number;
}

/**
 * The images that all filters let through.
 *
 * @throws BuildError `image-not-found` when `before` or `since` name nothing.
 */
export async function filterImages(
  access: ImageAccess,
  images: readonly ListedImage[],
  {
    isDangling,
    labels = [],
    before = [],
    since = [],
    references,
    createdBefore = Number.POSITIVE_INFINITY,
  }: ImageFilters,
): Promise<readonly ListedImage[]> {
  const created = (name: string) => findImage(access, name).created;
  const end = Math.min(createdBefore, ...before.map(created));
  const begin = Math.max(Number.NEGATIVE_INFINITY, ...since.map(created));
  const left = images.filter(
    (image) =>
      image.created < end &&
      image.created > begin &&
      (isDangling === undefined || isDangling === (image.repository === undefined)) &&
      (references === undefined || references.some((pattern) => matchesReference(image, pattern))),
  );
  if (labels.length === 0) return left;
  const haveLabels = await Promise.all(left.map((image) => hasLabels(access, image, labels)));
  return left.filter((_, position) => haveLabels[position]);
}

export function matchesReference({ repository, tag }: ListedImage, pattern: string): boolean {
  return (
    repository !== undefined && [repository, `${repository}:${tag}`].some((name) => matchGlob(pattern, name))
  );
}

async function hasLabels(
  { store }: ImageAccess,
  { configDigest }: ListedImage,
  labels: readonly string[],
): Promise<boolean> {
  const { config } = await readJsonBlob<ImageConfig>(store, configDigest);
  return labels.every((wanted) => {
    const [name, value] = wanted.split(/=(.*)/s) as [string, string?];
    const found = config?.Labels?.[name];
    return found !== undefined && (value === undefined || found === value);
  });
}
