import { closeSync, openSync, readSync, statSync } from "node:fs";
import { makeIgnoreMatcher } from "../dockerfile/make-ignore-matcher.ts";
import type { Entry } from "../rootfs/entry.ts";
import { IndexReader } from "../rootfs/index-reader.ts";
import { writeIndex } from "../rootfs/index-writer.ts";
import type { Layer } from "../rootfs/layer.ts";
import { isWithin, ROOT, textFromBytes } from "../rootfs/rootfs-path.ts";
import { unpackArchive } from "../rootfs/unpack-archive.ts";
import type { TaskContext, Tasks } from "../threads/task.ts";
import type { ArchiveRequest, FilterRequest } from "./context-work.ts";

/** For `serveTasks` in the worker's entry. */
export function makeContextTasks(): Tasks {
  return {
    readArchive: ({ filePath, directory, limits }: ArchiveRequest, context: TaskContext) =>
      unpackArchive({
        open: () => readChunks(filePath, () => context.throwIfAborted()),
        size: statSync(filePath).size,
        layersDirectory: directory,
        sizeLimit: "context-size",
        limits,
      }),
    filterLayer: (request: FilterRequest) => filterLayer(request),
  };
}

const CHUNK_SIZE = 256 << 10;

/** A file in pieces. */
function* readChunks(path: string, throwIfAborted: () => void): Generator<Uint8Array> {
  const fd = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(CHUNK_SIZE);
    for (;;) {
      throwIfAborted();
      const read = readSync(fd, buffer, 0, buffer.length, null);
      if (read === 0) return;
      // Streams hold on to what they are given, so each piece has its own bytes.
      yield Buffer.from(buffer.subarray(0, read));
    }
  } finally {
    closeSync(fd);
  }
}

function filterLayer({ layer, ignorePatterns, indexPath }: FilterRequest): Layer {
  const matcher = makeIgnoreMatcher(ignorePatterns);
  using index = new IndexReader(layer.indexPath);
  writeIndex(
    indexPath,
    visibleEntries(index.scan(ROOT), (entry) => matcher.excludes(textFromBytes(entry.path))),
  );
  return { ...layer, indexPath };
}

/** A directory that is left out is there all the same when something below it is not. */
function* visibleEntries(entries: Iterable<Entry>, isIgnored: (entry: Entry) => boolean): Generator<Entry> {
  let held: Entry[] = [];
  for (const found of entries) {
    const entry = { ...found, uid: 0, gid: 0 };
    held = held.filter((parent) => isWithin(entry.path, parent.path));
    if (entry.path === ROOT || !isIgnored(entry)) {
      yield* held;
      held = [];
      yield entry;
    } else if (entry.type === "directory") held.push(entry);
  }
}
