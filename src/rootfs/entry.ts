/**
 * A path inside a root file system: relative, without a leading or trailing slash, `.` and `..` resolved; the root is the
 * empty string. One char of the string is one *byte* of the path (latin1), so names that are not UTF-8 survive and string
 * order is byte order. `pathFromText` and `pathToText` convert.
 */
export type RootfsPath = string & { readonly __rootfsPath: unique symbol };

export type EntryType = "file" | "directory" | "symlink" | "fifo" | "char" | "block" | "whiteout";

/** One path of a layer, as its tar says it. */
export interface Entry {
  readonly path: RootfsPath;
  readonly type: EntryType;
  /** Permission bits with setuid, setgid, sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** In bytes; 0 for everything but regular files. */
  readonly size: number;
  /** Whole seconds since 1970; `mtimeNs` is the rest, 0 to 999,999,999. */
  readonly mtime: number;
  readonly mtimeNs: number;
  /** Symlinks: the target's bytes, one char a byte, as written. */
  readonly linkTarget?: string;
  /** Regular files that are one inode: the path of the first of them in this layer (its own path for the first). */
  readonly hardLinkOf?: RootfsPath;
  /** `hardLinkOf` is a path of a lower layer: size, bytes and owner are those of the file there. */
  readonly foreignLink?: boolean;
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
  /** Directories: everything below it in lower layers is hidden. */
  readonly opaque?: boolean;
  /** Regular files: where the bytes begin in the layer's uncompressed tar; absent in layers that are directories. */
  readonly dataOffset?: number;
  /** Regular files: the tar has the bytes without their holes, so `dataOffset` counts in `expandedPath` instead. */
  readonly sparse?: boolean;
  /** Regular files: the SHA-256 of the bytes, where it is known without reading them (what a COPY wrote, sparse files). */
  readonly contentHash?: Uint8Array;
  /** Directories: the layer does not list it, only something below it; its mode and owner come from the layers below. */
  readonly implicit?: boolean;
}
