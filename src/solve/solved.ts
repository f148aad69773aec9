import type { LazyLayer } from "../image/image-access.ts";

/** What a step came to: a root file system, or a tree of files that only COPY and mounts look into. */
export type Solved = SolvedRootfs | SolvedFiles;

export interface SolvedRootfs {
  readonly kind: "rootfs";
  /** What enters the keys of the steps that stand on it. */
  readonly recordId: string;
  /** Bottom first. */
  readonly layers: readonly LazyLayer[];
}

/** A build context: it has no record, its content is looked at each time. */
export interface SolvedFiles {
  readonly kind: "files";
  readonly directory: string;
  readonly ignorePatterns: readonly string[];
}
