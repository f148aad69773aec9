import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseIgnoreFile } from "../dockerfile/make-ignore-matcher.ts";
import { BuildError } from "../errors/build-error.ts";
import type { InputLimits } from "../errors/input-limits.ts";
import type { Layer } from "../rootfs/layer.ts";
import { openUnionTree, type UnionTree } from "../rootfs/union-tree.ts";
import { temporaryPath } from "../store/blobs.ts";
import type { ContextOptions } from "./context-options.ts";
import type { DockerfileChoice, OpenedContext } from "./context-tree.ts";
import { DOCKERFILE_NAMES, nearestDockerfile } from "./open-directory.ts";
import { checkInputSize } from "./read-input-file.ts";

/**
 * A tar archive as the build context; undefined when the file is none. Its files never lie on the disk one by one: they are a layer that
 * COPY reads, so no name and no link in it can lead anywhere.
 *
 * @throws BuildError `context`, `copy-failed`, `input-limit`.
 */
export async function openArchive(
  filePath: string,
  choice: DockerfileChoice,
  options: ContextOptions,
): Promise<OpenedContext | undefined> {
  const { store, work, signal, limits } = options;
  const directory = temporaryPath(store);
  await mkdir(directory);
  const layer = await work.readArchive({ filePath, directory, limits }, signal);
  if (layer === undefined) return undefined;
  const found = readFromLayer(layer, choice, limits);
  const request = {
    layer,
    ignorePatterns: found.ignorePatterns,
    indexPath: join(directory, "context-index"),
  };
  const visible = await work.filterLayer(request, signal);
  const { dockerfile, ignoreFile, ignorePatterns } = found;
  const unfiltered = ignoreFile === undefined ? undefined : { layers: [layer], ignorePatterns, ignoreFile };
  return { dockerfile, tree: { kind: "layers", layers: [visible], ...(unfiltered && { unfiltered }) } };
}

function readFromLayer(layer: Layer, choice: DockerfileChoice, limits: InputLimits) {
  using tree = openUnionTree([layer]);
  const path = choice.dockerfilePath ?? findDockerfile(tree);
  const dockerfile = choice.dockerfile ?? {
    file: path ?? "Dockerfile",
    bytes: readDockerfile(tree, path, limits),
  };
  const { ignore } = choice;
  if (ignore !== undefined) {
    return {
      dockerfile,
      ignoreFile: ignore.file,
      ignorePatterns: parseIgnoreFile(String(Buffer.from(ignore.bytes))),
    };
  }
  for (const ignoreFile of [...(path === undefined ? [] : [`${path}.dockerignore`]), ".dockerignore"]) {
    const bytes = readFile(tree, ignoreFile, limits);
    if (bytes !== undefined)
      return { dockerfile, ignoreFile, ignorePatterns: parseIgnoreFile(String(bytes)) };
  }
  return { dockerfile, ignoreFile: undefined, ignorePatterns: [] };
}

function findDockerfile(tree: UnionTree): string | undefined {
  return DOCKERFILE_NAMES.find((name) => readEntry(tree, name) !== undefined);
}

function readDockerfile(tree: UnionTree, path: string | undefined, limits: InputLimits): Uint8Array {
  const bytes = path === undefined ? undefined : readFile(tree, path, limits);
  if (bytes !== undefined) return bytes;
  const what = path === undefined ? "find a Dockerfile" : `read the Dockerfile "${path}"`;
  const names = [...tree.list(readEntry(tree, "/")!.path)].map(({ entry }) => entry.path);
  const near = nearestDockerfile(names);
  throw new BuildError("context", `Cannot ${what}: the archive that is the build context has none`, {
    hint:
      near === undefined
        ? "Name it with -f PATH, as it is called in the archive"
        : `Did you mean -f ${near}?`,
  });
}

/** Links are followed inside the archive. */
function readEntry(tree: UnionTree, path: string) {
  const { entry } = tree.resolve(Buffer.from(path).toString("latin1"), { followLast: true });
  return entry?.entry;
}

function readFile(tree: UnionTree, path: string, limits: InputLimits): Buffer | undefined {
  const { entry } = tree.resolve(Buffer.from(path).toString("latin1"), { followLast: true });
  if (entry?.entry.type !== "file") return undefined;
  checkInputSize(entry.entry.size, path, limits);
  return tree.readWhole(entry, limits["dockerfile-size"]);
}
