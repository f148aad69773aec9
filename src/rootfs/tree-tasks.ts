import type { TaskContext, Tasks } from "../threads/task.ts";
import { type ByteWork, reportProgress } from "./report-progress.ts";
import { type RewriteTimesRequest, rewriteTimes } from "./rewrite-times.ts";
import { type SquashRequest, squashLayers } from "./squash-layers.ts";
import { type WriteTreeTarRequest, writeTreeTar } from "./tree-tar.ts";
import { type WriteTreeDirectoryRequest, writeTreeDirectory } from "./write-tree-directory.ts";

/** What a worker thread does with layers only for outputs. */
export const treeTasks: Tasks = {
  rewriteTimes: (request: RewriteTimesRequest, context: TaskContext) =>
    rewriteTimes(request, () => context.throwIfAborted()),
  squashLayers: (request: SquashRequest, context: TaskContext) =>
    squashLayers(request, () => context.throwIfAborted()),
  writeTreeDirectory: (request: WriteTreeDirectoryRequest, context: TaskContext) =>
    writeTreeDirectory(request, byteWork(context)),
  writeTreeTar: (request: WriteTreeTarRequest, context: TaskContext) =>
    writeTreeTar(request, byteWork(context)),
};

function byteWork(context: TaskContext): ByteWork {
  return { throwIfAborted: () => context.throwIfAborted(), onProgress: reportProgress(context) };
}
