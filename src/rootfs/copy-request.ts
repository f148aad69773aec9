import type { InputLimits } from "../errors/input-limits.ts";
import type { Digest } from "../oci/digest.ts";
import type { Layer } from "./layer.ts";

/** A tree of files that a COPY takes from. */
export type CopyTree =
  /** A stage or an image: owners are kept. */
  (
    | {
        readonly kind: "layers";
        readonly layers: readonly Layer[];
        /** An archive as the build context: with what its ignore file left out of `layers`, for messages. */
        readonly unfiltered?: UnfilteredLayers;
      }
    /** A directory on disk (a build context, a git checkout): everything belongs to 0:0. */
    | {
        readonly kind: "directory";
        readonly directory: string;
        /** Lines of the ignore file, already parsed; `[]` for none. */
        readonly ignorePatterns: readonly string[];
        /** Where they come from, for messages. */
        readonly ignoreFile?: string;
      }
  ) & {
    /** Files are 0644, or 0755 where the owner may execute them, and directories 0755: the umask of a checkout says nothing. */
    readonly normalizeModes?: boolean;
  };

export interface UnfilteredLayers {
  readonly layers: readonly Layer[];
  readonly ignorePatterns: readonly string[];
  readonly ignoreFile: string;
}

export type CopyRequestSource =
  /** `path` is text as in the Dockerfile: absolute in the tree, may hold wildcards and a trailing slash. */
  | {
      readonly kind: "path";
      readonly tree: CopyTree;
      readonly path: string;
      /** As written, where `..` would have led out of the tree: for messages. */
      readonly outside?: string;
    }
  | { readonly kind: "inline"; readonly name: string; readonly content: string }
  /** A file that was downloaded: 0:0 (before `--chown`). */
  | {
      readonly kind: "file";
      readonly filePath: string;
      readonly name: string;
      readonly mode: number;
      /** Seconds since 1970. */
      readonly mtime: number;
    };

/** A COPY writes what it selects into a layer, a bind mount shows it. */
export type SelectionVerb = "copy" | "mount";

/** What is copied: the part of a COPY or ADD that does not depend on what the destination holds. */
export interface SelectCopyRequest {
  readonly sources: readonly CopyRequestSource[];
  /** What the files are selected for, for messages; `copy` when absent. */
  readonly verb?: SelectionVerb;
  /** Text, absolute; a trailing slash means a directory. */
  readonly destination: string;
  readonly chown?: string;
  readonly chmod?: string;
  readonly parents?: boolean;
  readonly exclude?: readonly string[];
  /** Never look at what is below: the layer starts from an empty tree. */
  readonly link?: boolean;
  /** Unpack sources that are tar archives (by content); `local`: but for those that were downloaded. */
  readonly unpack?: boolean | "local";
  /** Where the selection file is put (a temporary directory of the store). */
  readonly temporaryDirectory: string;
  /** Digests of files that were read before (`fileDigestsPath`); every file is read when absent. */
  readonly fileDigestsPath?: string;
}

/** What `selectCopy` found: a file on disk, so that its size does not matter. Dispose it, used or not. */
export interface CopySelection extends AsyncDisposable {
  /** Digest of the selected files as they will be written, but for the owner that `chown` gives them: the content key's part. */
  readonly contentDigest: Digest;
  readonly entryCount: number;
  /** Of regular files. */
  readonly totalBytes: number;
  /** The rest is for `writeCopyLayer`. */
  readonly selectionPath: string;
  readonly items: readonly SelectedItem[];
  readonly request: SelectCopyRequest;
}

/** One source, or one match of a source's wildcard, with what was selected below it. */
export interface SelectedItem {
  /** Index into the request's sources. */
  readonly source: number;
  /** A directory is copied into the destination without itself. */
  readonly kind: "directory" | "leaf";
  /** The name that a leaf has in a destination that is a directory; one char a byte. */
  readonly name: string;
  /** Of the directory itself, in seconds since 1970. */
  readonly mtime: number;
  /** ADD of a file: if it is a tar archive, what is in it goes into the destination. */
  readonly mayUnpack?: boolean;
  /** The item's records in the selection file, in bytes. */
  readonly start: number;
  readonly end: number;
}

export interface WriteCopyRequest {
  readonly selection: CopySelection;
  /** The destination's layers, bottom first; not looked at with `link`. */
  readonly base: readonly Layer[];
  /** The layers in which names in `chown` are looked up; may be absent when it is absent or numeric. */
  readonly userLayers?: readonly Layer[];
  readonly layersDirectory: string;
  /** Seconds since 1970, of directories and inline files that the copy makes; 0 by default. */
  readonly mtime?: number;
  /** For archives that ADD unpacks; `DEFAULT_LIMITS` when absent. */
  readonly limits?: InputLimits;
}

export interface WrittenLayer {
  readonly layer: Layer & { readonly diffId: Digest };
  readonly diffId: Digest;
  readonly tarSizeBytes: number;
}
