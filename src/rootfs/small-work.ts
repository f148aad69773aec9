import { statSync } from "node:fs";
import type { SelectCopyRequest } from "./copy-request.ts";
import { digestLayer, type LayerDigest } from "./digest-layer.ts";
import type { MakeIgnoreMatcher } from "./ignore-matcher.ts";
import type { Layer } from "./layer.ts";
import { listSelection } from "./list-selection.ts";
import { makeWorkdirLayer } from "./make-workdir-layer.ts";
import { hasWildcard } from "./match-glob.ts";
import { type PackedLayer, type PackRequest, packLayer } from "./pack-layer.ts";
import { type PlainSelection, selectCopy } from "./select-copy.ts";
import { settleDestination } from "./settle-destination.ts";
import { type LayersNeeded, type SettlePathsRequest, settlePaths } from "./settle-paths.ts";
import { whenSmall } from "./when-small.ts";
import { writeCopyLayer } from "./write-copy-layer.ts";
import { type LayerErofsRequest, writeLayerErofs } from "./write-layer-erofs.ts";

/**
 * What a COPY copies of few files. Undefined where it is more.
 * @throws what `selectCopy` throws.
 */
export function selectSmallCopy(
  request: SelectCopyRequest,
  makeIgnoreMatcher: MakeIgnoreMatcher,
): PlainSelection | undefined {
  // How much of an image a pattern is compared with, nothing tells before.
  const isBounded = request.sources.every(
    (source) =>
      source.kind !== "path" ||
      source.tree.kind === "directory" ||
      (!request.parents && !hasWildcard(source.path)),
  );
  if (!isBounded) return undefined;
  return whenSmall(({ onLook, onRead, onEntry }) =>
    selectCopy(request, {
      makeIgnoreMatcher,
      onLook: (_, found) => found && onLook(found),
      onRead,
      throwIfAborted: onEntry,
    }),
  );
}

/** How many more layers it takes for paths that are no directories. Undefined for others. */
function settleFewPaths(request: SettlePathsRequest): LayersNeeded | undefined {
  return whenSmall(({ giveUp }) => settlePaths(request, giveUp));
}

/** The digest of a small layer. Undefined for any other. */
function digestSmallLayer(layer: Layer): LayerDigest | undefined {
  return whenSmall(({ onRead }) => digestLayer(layer, onRead));
}

/** The metadata of a layer with few files. Undefined for any other. */
function describeSmallLayer(request: LayerErofsRequest): boolean | undefined {
  return whenSmall(({ onEntry }) => writeLayerErofs(request, onEntry));
}

/** In bytes: to compress it takes a few milliseconds. */
const SMALL_TAR_BYTES = 128 << 10;

/** The blob of a small layer. Undefined for any other. */
function packSmallLayer(request: PackRequest): Promise<PackedLayer> | undefined {
  const { content } = request.layer;
  const isSmall = content.kind === "tar" && statSync(content.tarPath).size <= SMALL_TAR_BYTES;
  return isSmall ? packLayer(request) : undefined;
}

/**
 * What the calling thread does when there is little of it: to start another one takes ten times as long. What gives undefined
 * leaves more than that to another thread; of the rest the caller knows that it is little.
 */
export const smallWork = {
  selectCopy: selectSmallCopy,
  settlePaths: settleFewPaths,
  digestLayer: digestSmallLayer,
  packLayer: packSmallLayer,
  writeLayerErofs: describeSmallLayer,
  settleDestination,
  writeCopyLayer,
  listSelection,
  makeWorkdirLayer,
};
