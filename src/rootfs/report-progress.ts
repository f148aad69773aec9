import type { TaskContext } from "../threads/task.ts";

/** What work on bytes is told beside its request. */
export interface ByteWork {
  readonly throwIfAborted?: () => void;
  readonly onProgress?: (doneBytes: number) => void;
}

const PROGRESS_INTERVAL_MS = 100;

/** Tells the main thread how far a task is, ten times a second at most. */
export function reportProgress(context: TaskContext, totalBytes?: number): (doneBytes: number) => void {
  let last = performance.now();
  return (bytes) => {
    const now = performance.now();
    if (now - last < PROGRESS_INTERVAL_MS) return;
    last = now;
    // Headers and padding of a tar are no part of the total.
    const doneBytes = Math.min(bytes, totalBytes ?? bytes);
    context.emit({ doneBytes, ...(totalBytes === undefined ? {} : { totalBytes }) });
  };
}
