import { BuildError } from "../errors/build-error.ts";
import type { RunMount, StepId } from "../plan/plan.ts";
import type { CopyTree, SelectCopyRequest } from "../rootfs/copy-request.ts";
import type { Layer } from "../rootfs/layer.ts";
import { escapeGlob } from "../rootfs/match-glob.ts";
import { pathToText } from "../rootfs/rootfs-path.ts";
import { storeWrittenLayer } from "../rootfs/stored-layer.ts";
import { openUnionTree } from "../rootfs/union-tree.ts";
import { hasFileList, writeFileList } from "../store/builds.ts";
import { fileDigestsPath } from "../store/file-digests.ts";
import { loadLayersOfPaths } from "./load-upper-layers.ts";
import { asRootfs, type KeyContext } from "./solve-plan.ts";
import type { SolvedFiles } from "./solved.ts";

export type BindMount = Extract<RunMount, { type: "bind" }>;

/** What a bind mount shows: a path in a union of layers. */
export interface BindSource {
  readonly layers: readonly Layer[];
  /** Absolute text, links resolved. */
  readonly path: string;
  readonly kind: "directory" | "file";
}

/** Where a context's part stands in the layer that is made of it. */
const CONTEXT_PART = "/part";

/** Digest of what a bind mount of a RUN shows, for its content key. The store keeps the list of its files. */
export async function digestBindSource(mount: BindMount, context: KeyContext): Promise<string> {
  const { work, store, signal } = context.access;
  const solved = await context.solve(mount.from);
  if (solved.kind === "files") {
    const request = await requestPart(solved, mount, context);
    const digested = await work.digestCopy(request, { signal });
    const { contentDigest } = digested;
    await using found = digested.selection;
    if (!hasFileList(store, contentDigest)) {
      await using again = found === undefined ? await work.selectCopy(request, { signal }) : undefined;
      writeFileList(store, contentDigest, await work.listSelection((found ?? again)!));
    }
    return contentDigest;
  }
  const { layers: lazy } = asRootfs(solved);
  const layers = await loadLayersOfPaths({ layers: lazy, paths: [mount.source] }, context.access);
  const tree: CopyTree = { kind: "layers", layers };
  const { digest, files } = await work.digestSubtree(
    { tree, path: mount.source, temporaryDirectory: store.temporaryDirectory },
    { signal },
  );
  writeFileList(store, digest, files);
  return digest;
}

/**
 * A stage's or image's files are mounted where they are; the part of a context becomes a layer first, so that the ignore
 * file and the owners hold for it as for COPY.
 *
 * @throws BuildError `copy-source-missing`.
 */
export async function openBindSource(
  mount: { readonly from: StepId; readonly source: string },
  context: KeyContext,
): Promise<BindSource> {
  const solved = await context.solve(mount.from);
  if (solved.kind !== "files") return findInLayers(await loadBindLayers(mount, context), mount.source);
  const { store, work, signal } = context.access;
  await using selection = await work.selectCopy(await requestPart(solved, mount, context), { signal });
  const { layer } = await storeWrittenLayer(store, (layersDirectory) =>
    work.writeCopyLayer({ selection, base: [], layersDirectory }, { signal }),
  );
  return findInLayers([layer], CONTEXT_PART);
}

/** Of a stage or an image, those that say what is at the path; none of a context. */
export async function loadBindLayers(
  { from, source }: { readonly from: StepId; readonly source: string },
  context: KeyContext,
): Promise<readonly Layer[]> {
  const solved = await context.solve(from);
  if (solved.kind === "files") return [];
  const { layers } = asRootfs(solved);
  return loadLayersOfPaths({ layers, paths: [source], looksBeside: true }, context.access);
}

async function requestPart(
  files: SolvedFiles,
  { source }: { readonly source: string },
  { access: { store } }: KeyContext,
): Promise<SelectCopyRequest> {
  return {
    verb: "mount",
    sources: [{ kind: "path", tree: await files.open(), path: escapeGlob(source) }],
    destination: CONTEXT_PART,
    link: true,
    temporaryDirectory: store.temporaryDirectory,
    fileDigestsPath: fileDigestsPath(store),
  };
}

function findInLayers(layers: readonly Layer[], source: string): BindSource {
  using tree = openUnionTree(layers);
  const { path, entry } = tree.resolve(Buffer.from(source).toString("latin1"), { followLast: true });
  if (entry === undefined) {
    throw new BuildError(
      "copy-source-missing",
      `Cannot mount "${source}": there is no such file or directory in its source`,
    );
  }
  return { layers, path: pathToText(path), kind: entry.entry.type === "directory" ? "directory" : "file" };
}
