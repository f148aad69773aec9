import type { Digest } from "../oci/digest.ts";
import type { ImageConfig } from "../oci/image-config.ts";
import { compareTrees } from "../rootfs/compare-trees.ts";
import { type ImageChange, toImageChange } from "../rootfs/image-file.ts";
import { openUnionTree } from "../rootfs/union-tree.ts";
import type { LazyLayer } from "./image-access.ts";

/** An image as far as it takes to compare it. */
export interface ComparedImage {
  readonly config: ImageConfig;
  readonly configDigest: Digest;
  /** Bottom first. */
  readonly layers: readonly LazyLayer[];
}

/** The first thing that two images do not have in common. */
export type ImageDifference =
  | {
      readonly kind: "file";
      readonly change: ImageChange;
      /** Position of the layer that has it, bottom first, from 0: of the second image, or of the first where it is removed. */
      readonly layer: number;
    }
  /** Same files, told in another way: `layer` is the first with another diff ID. */
  | { readonly kind: "layer"; readonly layer: number }
  | {
      readonly kind: "config";
      /** Where in the config: `config.Env[0]`. */
      readonly field: string;
      /** As JSON has them; undefined where one has nothing. */
      readonly before: unknown;
      readonly after: unknown;
    };

/**
 * The first difference between two images, files before layers before the config; undefined when they have the same id. How their layers
 * are compressed does not count.
 */
export async function findImageDifference(
  before: ComparedImage,
  after: ComparedImage,
): Promise<ImageDifference | undefined> {
  if (before.configDigest === after.configDigest) return undefined;
  const ids = [before, after].map(({ config }) => config.rootfs.diff_ids) as [Digest[], Digest[]];
  const count = Math.max(ids[0].length, ids[1].length);
  const layer = Array.from({ length: count }, (_, i) => i).find((i) => ids[0][i] !== ids[1][i]);
  if (layer !== undefined) return (await findFileDifference(before, after)) ?? { kind: "layer", layer };
  return findFieldDifference(before.config, after.config, "");
}

async function findFileDifference(
  before: ComparedImage,
  after: ComparedImage,
): Promise<ImageDifference | undefined> {
  const load = ({ layers }: ComparedImage) => Promise.all(layers.map((layer) => layer.load()));
  const layers = await Promise.all([load(before), load(after)]);
  using from = openUnionTree(layers[0]);
  using to = openUnionTree(layers[1]);
  for (const change of compareTrees(from, to, { times: true })) {
    if (change === undefined) continue;
    const { layer } = change.kind === "removed" ? change.before : change.after;
    return { kind: "file", change: toImageChange(change), layer };
  }
  return undefined;
}

/** Depth first, in the order of the first value's keys. */
function findFieldDifference(before: unknown, after: unknown, field: string): ImageDifference | undefined {
  if (!isObject(before) || !isObject(after) || Array.isArray(before) !== Array.isArray(after)) {
    return before === after ? undefined : { kind: "config", field, before, after };
  }
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const inner = Array.isArray(before) ? `${field}[${key}]` : `${field === "" ? "" : `${field}.`}${key}`;
    const found = findFieldDifference(before[key], after[key], inner);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
