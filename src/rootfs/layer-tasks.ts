import type { Tasks } from "../threads/task.ts";

/** Decides what of a build context is left out (`.dockerignore`); paths are relative text, `/` between components. */
export interface IgnoreMatcher {
  excludes(path: string): boolean;
  /** True when nothing below the excluded directory can be included again, so that a walk need not enter it. */
  canSkipDirectory(path: string): boolean;
}

export interface LayerTaskOptions {
  readonly makeIgnoreMatcher: (patterns: readonly string[]) => IgnoreMatcher;
}

/** What a worker thread can do with layers: `serveTasks({ ...makeLayerTasks(...) })` in the worker's entry file. */
export function makeLayerTasks(_options: LayerTaskOptions): Tasks {
  return {};
}
