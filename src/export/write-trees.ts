import { once } from "node:events";
import { homedir } from "node:os";
import { relative, resolve } from "node:path";
import type { Writable } from "node:stream";
import { BuildError } from "../errors/build-error.ts";
import type { ImageAccess, LazyLayer } from "../image/image-access.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";
import { failEvent } from "../progress/fail-event.ts";
import type { ExportedTree, ExportTreesRequest } from "../rootfs/exported-trees.ts";
import { treeTarChunks } from "../rootfs/tree-tar.ts";
import { writeWhole } from "./write-whole.ts";

/** A root file system that leaves as plain files. */
export interface FilesImage {
  readonly platform: Platform;
  readonly layers: readonly LazyLayer[];
}

export interface FilesOptions {
  /** Each platform into a directory of its own, `linux_amd64`; where there are several, unless it is said. */
  readonly platformSplit?: boolean;
  /** The time of every file, in seconds since 1970. */
  readonly epochSeconds?: number;
}

/**
 * Writes root file systems into a directory, as files of the caller. With `delete`, what they do not have goes.
 *
 * @throws BuildError `output-failed`, `option-invalid` for a directory that must not be emptied.
 */
export async function writeTreesTo(
  access: ImageAccess,
  images: readonly FilesImage[],
  { dest, mode, ...options }: FilesOptions & { readonly dest: string; readonly mode?: "copy" | "delete" },
): Promise<void> {
  const directory = resolve(dest);
  if (mode === "delete") refuseToEmpty(directory);
  await reportOutput(access, `write files to ${dest}`, async (onProgress) => {
    const request = await loadTrees(images, options);
    await access.work.writeTreeDirectory(
      { ...request, directory, deleteOthers: mode === "delete" },
      { signal: access.signal, onProgress },
    );
  });
}

/** Writes root file systems as a tar: a file, which appears whole or not at all, or into a stream, which is not ended. */
export async function writeTreesTar(
  access: ImageAccess,
  images: readonly FilesImage[],
  { dest, ...options }: FilesOptions & { readonly dest: string | Writable },
): Promise<void> {
  const place = typeof dest === "string" ? dest : "stdout";
  await reportOutput(access, `write a tar to ${place}`, async (onProgress) => {
    const request = await loadTrees(images, options);
    if (typeof dest !== "string") return streamTrees(access, request, dest);
    await writeWhole(dest, (tarPath) =>
      access.work.writeTreeTar({ ...request, tarPath }, { signal: access.signal, onProgress }),
    );
  });
}

async function loadTrees(images: readonly FilesImage[], options: FilesOptions): Promise<ExportTreesRequest> {
  const isSplit = options.platformSplit ?? images.length > 1;
  const trees = await Promise.all(
    images.map(async ({ platform, layers }): Promise<ExportedTree> => {
      const label = formatPlatform(platform);
      const loaded = await Promise.all(layers.map((layer) => layer.load()));
      return { layers: loaded, label, directory: isSplit ? label.replaceAll("/", "_") : "" };
    }),
  );
  return { trees, ...(options.epochSeconds !== undefined && { mtime: options.epochSeconds }) };
}

/** A stream of this process: here and not in a worker thread, in pieces of at most 256 KiB. */
async function streamTrees(
  { signal }: ImageAccess,
  request: ExportTreesRequest,
  output: Writable,
): Promise<void> {
  for (const chunk of treeTarChunks(request)) {
    signal.throwIfAborted();
    if (output.destroyed) throw output.errored ?? new Error("the stream is closed");
    // The chunk is only valid until the next one.
    if (!output.write(Buffer.from(chunk))) await once(output, "drain", { signal });
  }
}

/** A slip of the keyboard must not cost a home directory. */
function refuseToEmpty(directory: string): void {
  for (const [precious, what] of [
    [process.cwd(), "the working directory"],
    [homedir(), "the home directory"],
  ] as const) {
    if (relative(directory, precious).startsWith("..")) continue;
    throw new BuildError(
      "option-invalid",
      `Cannot write to "${directory}" with mode=delete: it is or holds ${what}, and all else in it would be deleted`,
    );
  }
}

async function reportOutput(
  { emit, signal }: ImageAccess,
  name: string,
  write: (onProgress: (progress: { readonly doneBytes: number }) => void) => Promise<void>,
): Promise<void> {
  emit({ kind: "start", time: Date.now(), id: name, name });
  try {
    await write(({ doneBytes }) =>
      emit({ kind: "progress", time: Date.now(), id: name, label: "written", doneBytes }),
    );
    emit({ kind: "end", time: Date.now(), id: name, outcome: "done" });
  } catch (error) {
    emit(failEvent(name, error, signal));
    throw error;
  }
}
