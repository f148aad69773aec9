import { BuildError } from "../errors/build-error.ts";
import { suggestNearest } from "../errors/suggest-nearest.ts";
import type { ImageAccess } from "../image/image-access.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { matchGlob } from "../rootfs/match-glob.ts";
import { readJsonBlob } from "../store/blobs.ts";
import { findImage } from "./find-image.ts";
import { type ImageRow, NO_NAME } from "./image-rows.ts";
import { parseUntil } from "./parse-until.ts";

/** `--filter` of `images`: what docker has. */
const KEYS = ["dangling", "label", "before", "since", "reference", "until"] as const;

type FilterKey = (typeof KEYS)[number];

export interface ImageFilter {
  readonly key: FilterKey;
  readonly value: string;
}

/** Reads `KEY=VALUE`. @throws BuildError `option-invalid`. */
export function parseImageFilter(text: string): ImageFilter {
  const [, key = "", value = ""] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  const known = KEYS.find((one) => one === key);
  if (known === undefined) {
    const near = suggestNearest(key, KEYS);
    throw new BuildError(
      "option-invalid",
      `Cannot use "${text}" for --filter: it is not KEY=VALUE with a known key`,
      {
        hint: near === undefined ? `Keys are ${KEYS.join(", ")}` : `Did you mean "${near}"?`,
      },
    );
  }
  if (known === "dangling" && !/^(?:true|false|[01tf])$/i.test(value)) {
    throw new BuildError("option-invalid", `Cannot use "${text}" for --filter: it is neither true nor false`);
  }
  if (known === "until") parseUntil(value, 0);
  return { key: known, value };
}

/**
 * The rows that all filters let through; of several `reference`s one is enough.
 *
 * @throws BuildError `image-not-found` when `before` or `since` name nothing.
 */
export async function filterImages(
  access: ImageAccess,
  rows: readonly ImageRow[],
  filters: readonly ImageFilter[],
): Promise<readonly ImageRow[]> {
  const patterns = filters.flatMap(({ key, value }) => (key === "reference" ? [value] : []));
  let left =
    patterns.length === 0
      ? rows
      : rows.filter((row) => patterns.some((pattern) => matchesReference(row, pattern)));
  for (const { key, value } of filters) {
    const isLetThrough = makeTest(access, key, value);
    const kept = await Promise.all(left.map(isLetThrough));
    left = left.filter((_, position) => kept[position]);
  }
  return left;
}

function makeTest(
  access: ImageAccess,
  key: FilterKey,
  value: string,
): (row: ImageRow) => boolean | Promise<boolean> {
  switch (key) {
    case "reference":
      return () => true;
    case "dangling": {
      const isWanted = /^[1t]/i.test(value);
      return ({ repository }) => (repository === NO_NAME) === isWanted;
    }
    case "label":
      return (row) => hasLabel(access, row, value);
    case "before":
    case "since": {
      const { created } = findImage(access, value);
      return ({ image }) => (key === "before" ? image.created < created : image.created > created);
    }
    case "until": {
      const end = parseUntil(value, Date.now());
      return ({ image }) => image.created < end;
    }
  }
}

/** The name with or without its tag, as docker shows it, against a pattern of Go's path.Match. */
export function matchesReference({ repository, tag }: ImageRow, pattern: string): boolean {
  return (
    repository !== NO_NAME && [repository, `${repository}:${tag}`].some((name) => matchGlob(pattern, name))
  );
}

async function hasLabel({ store }: ImageAccess, { image }: ImageRow, wanted: string): Promise<boolean> {
  const { config } = await readJsonBlob<ImageConfig>(store, image.configDigest);
  const [name, value] = wanted.split(/=(.*)/s) as [string, string?];
  const found = config?.Labels?.[name];
  return found !== undefined && (value === undefined || found === value);
}
