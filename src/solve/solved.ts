import type { LazyLayer } from "../image/image-access.ts";
import type { CopyTree } from "../rootfs/copy-request.ts";

/** What a step came to: a root file system, or files that only COPY, ADD and mounts look into. */
export type Solved = SolvedRootfs | SolvedFiles | SolvedDownload;

export interface SolvedRootfs {
  readonly kind: "rootfs";
  /** What enters the keys of the steps that stand on it. */
  readonly recordId: string;
  /** Bottom first. */
  readonly layers: readonly LazyLayer[];
}

/** A build context or a git repository. */
export interface SolvedFiles {
  readonly kind: "files";
  /** Says what the files are, before they are here: a repository's commit. A context has none, its content is looked at each time. */
  readonly recordId?: string;
  /** Fetched or unpacked when somebody asks, once. */
  open(): Promise<CopyTree>;
}

/** A file of ADD's URL. Its digest is known, or promised by `--checksum`; it is downloaded when somebody asks. */
export interface SolvedDownload {
  readonly kind: "download";
  readonly recordId: string;
  open(): Promise<DownloadedFile>;
}

export interface DownloadedFile {
  readonly filePath: string;
  /** Seconds since 1970. */
  readonly mtime: number;
}
