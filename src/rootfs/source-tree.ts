import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { basename } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { explainSystemError } from "../errors/explain-system-error.ts";
import type { FileDigests, FileStamp } from "../store/file-digests.ts";
import type { CopyTree, UnfilteredLayers } from "./copy-request.ts";
import { type DiskEntry, listDiskDirectory, readDiskEntry } from "./disk-entry.ts";
import { diskPath } from "./disk-path.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import type { IgnoreMatcher, MakeIgnoreMatcher } from "./ignore-matcher.ts";
import { asBytePath } from "./index-upper-directory.ts";
import { keptXattrs, makeReadXattrs, type ReadXattrs } from "./read-xattrs.ts";
import { joinPath, pathToText, ROOT, textFromBytes } from "./rootfs-path.ts";
import { openUnionTree, type UnionTree } from "./union-tree.ts";

/** An entry of a tree that is copied from. */
export interface SourceNode {
  readonly entry: Entry;
  /** The same for all names of one file; absent for a file with one name. */
  readonly inode?: string;
  /** Trees of layers: where the bytes are. */
  readonly layer?: number;
  readonly dataPath?: RootfsPath;
  /** Directories on disk: what tells whether the file is as it was. */
  readonly stamp?: FileStamp;
}

/** A tree that is copied from. Whoever opens it disposes it. */
export interface SourceTree extends Disposable {
  /** Exactly this path; no symlink is followed. */
  lookup(path: RootfsPath): SourceNode | undefined;
  /** Direct children in byte order. */
  list(directory: RootfsPath): Iterable<SourceNode>;
  /** A regular file's bytes; a chunk is valid until the next one is asked for. */
  read(node: SourceNode): Iterable<Uint8Array>;
  /** Whether a path that `lookup` does not find is there all the same, left out by an ignore pattern. */
  isIgnored(path: RootfsPath): boolean;
  /** The ignore pattern that leaves a path out, and the name of its file: `The pattern "*.md" of .dockerignore`. */
  describePattern(path: RootfsPath): string;
}

export interface SourceTreeOptions {
  /** Entries of a directory's files have a content hash where they are as they were. */
  readonly digests?: FileDigests;
  /** Called with all that is looked at on the disk, what is left out included; undefined is not there. A directory before its names are read. */
  readonly onLook?: (path: RootfsPath, found: DiskEntry | undefined) => void;
  /** Called before a file's content is read from the disk, with its size in bytes. */
  readonly onRead?: (sizeBytes: number) => void;
}

export function openSourceTree(
  tree: CopyTree,
  makeIgnoreMatcher: MakeIgnoreMatcher,
  options: SourceTreeOptions = {},
): SourceTree {
  const source = openAsItIs(tree, makeIgnoreMatcher, options);
  return tree.normalizeModes ? withNormalModes(source) : source;
}

function openAsItIs(
  tree: CopyTree,
  makeIgnoreMatcher: MakeIgnoreMatcher,
  options: SourceTreeOptions,
): SourceTree {
  if (tree.kind === "layers") {
    const source = new LayersSource(openUnionTree(tree.layers));
    return tree.unfiltered === undefined
      ? source
      : withIgnored(source, tree.unfiltered, makeIgnoreMatcher(tree.unfiltered.ignorePatterns));
  }
  return new DirectorySource(tree, makeIgnoreMatcher(tree.ignorePatterns), options);
}

class LayersSource implements SourceTree {
  readonly #tree: UnionTree;

  constructor(tree: UnionTree) {
    this.#tree = tree;
  }

  lookup(path: RootfsPath): SourceNode | undefined {
    const found = this.#tree.lookup(path);
    return found === undefined ? undefined : toSource(found);
  }

  *list(directory: RootfsPath): Generator<SourceNode> {
    for (const found of this.#tree.list(directory)) yield toSource(found);
  }

  read({ entry, layer, dataPath }: SourceNode): Iterable<Uint8Array> {
    return this.#tree.read({ entry, layer: layer!, ...(dataPath === undefined ? {} : { dataPath }) });
  }

  isIgnored(): boolean {
    return false;
  }

  describePattern(): string {
    return "";
  }

  [Symbol.dispose](): void {
    this.#tree[Symbol.dispose]();
  }
}

/** The same tree, that can tell what the ignore file left out of it. */
function withIgnored(
  source: SourceTree,
  { layers, ignoreFile }: UnfilteredLayers,
  matcher: IgnoreMatcher,
): SourceTree {
  const whole = openUnionTree(layers);
  return {
    lookup: (path) => source.lookup(path),
    list: (directory) => source.list(directory),
    read: (node) => source.read(node),
    isIgnored: (path) => source.lookup(path) === undefined && whole.lookup(path) !== undefined,
    describePattern: (path) => describePattern(matcher, path, ignoreFile),
    [Symbol.dispose]() {
      source[Symbol.dispose]();
      whole[Symbol.dispose]();
    },
  };
}

function withNormalModes(source: SourceTree): SourceTree {
  const normalize = (node: SourceNode) => ({
    ...node,
    entry: { ...node.entry, mode: normalMode(node.entry) },
  });
  return {
    lookup(path) {
      const node = source.lookup(path);
      return node && normalize(node);
    },
    *list(directory) {
      for (const node of source.list(directory)) yield normalize(node);
    },
    read: (node) => source.read(node),
    isIgnored: (path) => source.isIgnored(path),
    describePattern: (path) => source.describePattern(path),
    [Symbol.dispose]: () => source[Symbol.dispose](),
  };
}

function normalMode({ type, mode }: Entry): number {
  if (type === "directory") return 0o755;
  if (type !== "file") return mode;
  return mode & 0o100 ? 0o755 : 0o644;
}

function describePattern(matcher: IgnoreMatcher, path: RootfsPath, ignoreFile: string): string {
  return `The pattern "${matcher.findPattern(textFromBytes(path))}" of ${ignoreFile}`;
}

function toSource({ entry, ...found }: SourceNode): SourceNode {
  const { hardLinkOf, xattrs } = entry;
  return {
    ...found,
    entry: xattrs === undefined ? entry : { ...entry, xattrs: keptXattrs(xattrs) },
    ...(hardLinkOf === undefined ? {} : { inode: `${found.layer}:${hardLinkOf}` }),
  };
}

const CHUNK_SIZE = 256 << 10;
/** In place of a directory's hash. */
const NO_CONTENT = Buffer.alloc(32);

/** A directory on disk. What is ignored is not there; everything belongs to 0:0. */
class DirectorySource implements SourceTree {
  readonly #directory: string;
  readonly #matcher: IgnoreMatcher;
  readonly #ignoreFile: string;
  readonly #options: SourceTreeOptions;
  readonly #readXattrs: ReadXattrs = makeReadXattrs();
  /** Absent while a file is read. */
  #buffer: Buffer | undefined = Buffer.allocUnsafeSlow(CHUNK_SIZE);

  constructor(
    { directory, ignoreFile }: { readonly directory: string; readonly ignoreFile?: string },
    matcher: IgnoreMatcher,
    options: SourceTreeOptions,
  ) {
    this.#directory = directory;
    this.#options = options;
    this.#matcher = matcher;
    this.#ignoreFile = ignoreFile === undefined ? "the ignore file" : basename(ignoreFile);
  }

  lookup(path: RootfsPath): SourceNode | undefined {
    const found = this.#readEntry(path);
    return found !== undefined && this.#isVisible(path, found) ? this.#makeNode(found) : undefined;
  }

  *list(directory: RootfsPath): Generator<SourceNode> {
    for (const name of this.#listNames(directory)) {
      const node = this.lookup(joinPath(directory, name));
      if (node !== undefined) yield node;
    }
  }

  *read({ entry, dataPath = entry.path }: SourceNode): Generator<Uint8Array> {
    this.#options.onRead?.(entry.size);
    // A socket counts as an empty file, and cannot be opened.
    if (entry.size === 0 && this.#readEntry(dataPath)?.stats.isSocket()) return;
    const buffer = this.#buffer ?? Buffer.allocUnsafeSlow(CHUNK_SIZE);
    let fd: number;
    try {
      fd = openSync(diskPath(this.#directory, dataPath), constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw code === "ENOENT" || code === "ELOOP" ? changed(dataPath) : cannotRead(dataPath, error);
    }
    try {
      if (!fstatSync(fd).isFile()) throw changed(dataPath);
      this.#buffer = undefined;
      let size = 0;
      for (;;) {
        const read = readSync(fd, buffer, 0, buffer.length, null);
        size += read;
        if (size > entry.size || (read === 0 && size < entry.size)) throw changed(dataPath);
        if (read === 0) return;
        yield buffer.subarray(0, read);
        // Less than was asked for: the end, which need not be read once more.
        if (size === entry.size && read < buffer.length) return;
      }
    } finally {
      this.#buffer = buffer;
      closeSync(fd);
    }
  }

  isIgnored(path: RootfsPath): boolean {
    return this.#readEntry(path) !== undefined && this.lookup(path) === undefined;
  }

  describePattern(path: RootfsPath): string {
    return describePattern(this.#matcher, path, this.#ignoreFile);
  }

  [Symbol.dispose](): void {}

  #makeNode({ entry, stats, filePath }: DiskEntry): SourceNode {
    const { digests } = this.#options;
    const isFile = entry.type === "file";
    const isDirectory = entry.type === "directory";
    const known = isFile || isDirectory ? digests?.find(stats) : undefined;
    const hasNone = entry.type === "symlink" || known?.hasXattrs === false;
    const xattrs = hasNone ? undefined : this.#readXattrs(asBytePath(filePath));
    if (isDirectory && known === undefined)
      digests?.keep(stats, { hash: NO_CONTENT, hasXattrs: xattrs !== undefined });
    const owned: Entry = {
      ...entry,
      uid: 0,
      gid: 0,
      ...(xattrs === undefined ? {} : { xattrs }),
      ...(isFile && known !== undefined ? { contentHash: known.hash } : {}),
    };
    const hasOthers = entry.type === "file" && stats.nlink > 1n;
    return { entry: owned, stamp: stats, ...(hasOthers ? { inode: `${stats.dev}:${stats.ino}` } : {}) };
  }

  #readEntry(path: RootfsPath): DiskEntry | undefined {
    let found: DiskEntry | undefined;
    try {
      found = readDiskEntry(this.#directory, path, { socketIsFile: true });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT" && code !== "ENOTDIR") throw cannotRead(path, error);
    }
    this.#options.onLook?.(path, found);
    return found;
  }

  #listNames(directory: RootfsPath): string[] {
    this.#readEntry(directory);
    try {
      return listDiskDirectory(this.#directory, directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return [];
      throw cannotRead(directory, error);
    }
  }

  /** An ignored directory is there when something below it is. */
  #isVisible(path: RootfsPath, { entry }: DiskEntry): boolean {
    if (path === ROOT) return true;
    const text = textFromBytes(path);
    if (!this.#matcher.excludes(text)) return true;
    if (entry.type !== "directory" || this.#matcher.canSkipDirectory(text)) return false;
    for (const name of this.#listNames(path)) {
      const child = joinPath(path, name);
      const found = this.#readEntry(child);
      if (found !== undefined && this.#isVisible(child, found)) return true;
    }
    return false;
  }
}

function changed(path: RootfsPath): BuildError {
  return new BuildError("copy-failed", `Cannot copy "${pathToText(path)}": it changed while it was read`);
}

function cannotRead(path: RootfsPath, error: unknown): BuildError {
  const isForbidden = (error as NodeJS.ErrnoException).code === "EACCES";
  return new BuildError(
    "copy-failed",
    `Cannot read "${pathToText(path)}" in the source: ${explainSystemError(error)}`,
    {
      hint: isForbidden ? "Make it readable, or leave it out: a line in .dockerignore" : undefined,
      cause: error,
    },
  );
}
