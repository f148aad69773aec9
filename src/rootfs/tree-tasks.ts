import type { TaskContext, Tasks } from "../threads/task.ts";
import { type WriteTreeTarRequest, writeTreeTar } from "./tree-tar.ts";
import { type WriteTreeDirectoryRequest, writeTreeDirectory } from "./write-tree-directory.ts";

/** What a worker thread can do with whole trees, for outputs. */
export const treeTasks: Tasks = {
  writeTreeDirectory: (request: WriteTreeDirectoryRequest, context: TaskContext) =>
    writeTreeDirectory(request, () => context.throwIfAborted()),
  writeTreeTar: (request: WriteTreeTarRequest, context: TaskContext) =>
    writeTreeTar(request, () => context.throwIfAborted()),
};
