import { closeSync, constants, openSync, readSync } from "node:fs";
import { BuildError } from "../errors/build-error.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import type { Layer } from "./layer.ts";
import { implicitDirectory } from "./layer-entries.ts";
import { LayerView } from "./layer-view.ts";
import { mergeSorted } from "./merge-sorted.ts";
import { resolvePath } from "./resolve-path.ts";
import { comparePaths, parentPath, pathToText, ROOT } from "./rootfs-path.ts";

/** A path of a union: what a reader of the mounted layers would see. Never a whiteout, never `implicit`. */
export interface TreeEntry {
  /** Files with the same `hardLinkOf` and the same `layer` are one inode. */
  readonly entry: Entry;
  /** Position, in the union's layers, of the layer that the entry (and a file's bytes) come from. */
  readonly layer: number;
  /** The path of the bytes in that layer, where it is another than the entry's. */
  readonly dataPath?: RootfsPath;
}

/** Where a regular file's bytes lie on disk. */
export interface FileSlice {
  /** A buffer when the name is not UTF-8. */
  readonly filePath: string | Buffer;
  readonly offset: number;
  readonly size: number;
}

/** What a path leads to once the symlinks on its way are followed inside the root. */
export interface ResolvedPath {
  /** Without symlinks in any component but, unless it was followed, the last one. */
  readonly path: RootfsPath;
  /** Absent when nothing is there. */
  readonly entry?: TreeEntry;
}

/**
 * The view of layers, bottom first, as one tree: whiteouts and opaque directories hide what is below them. All calls are
 * synchronous and small; memory does not grow with the number of entries. Whoever opens it disposes it.
 */
export interface UnionTree extends Disposable {
  readonly layers: readonly Layer[];
  /** The entry at exactly this path, like `lstat` without following any symlink. The root is always there. */
  lookup(path: RootfsPath): TreeEntry | undefined;
  /** The direct children of a directory, in byte order; nothing for what is no directory. */
  list(directory: RootfsPath): Iterable<TreeEntry>;
  /** Everything at and below a path, in the order of an index (`comparePaths`). */
  walk(prefix?: RootfsPath): Iterable<TreeEntry>;
  /**
   * Follows symlinks as a process in a chroot would, absolute ones from the root.
   * What is missing on the way is taken as it stands. `path` is a byte string and may hold `.` and `..`.
   * @throws BuildError `copy-failed` on a loop of links (more than 255) or a component that is no directory.
   */
  resolve(path: string, options?: { readonly followLast?: boolean }): ResolvedPath;
  /** Where a regular file's bytes are: stream it with `createReadStream`, or use `read`. */
  locate(entry: TreeEntry): FileSlice;
  /** A regular file's bytes, in chunks of at most 256 KiB. A chunk is valid until the next one is asked for. */
  read(entry: TreeEntry): Iterable<Uint8Array>;
  /** A small regular file as a whole. @throws BuildError `input-limit` above `limitBytes` (1 MiB by default). */
  readWhole(entry: TreeEntry, limitBytes?: number): Buffer;
}

/** @throws Error when an index cannot be opened. */
export function openUnionTree(layers: readonly Layer[]): UnionTree {
  return openLayeredTree(layers);
}

function openLayeredTree(layers: readonly Layer[]): LayeredTree {
  const views: LayerView[] = [];
  const files = new LayerFiles();
  try {
    for (const layer of layers) {
      const view = new LayerView(layer);
      views.push(view);
      addRedirects(view, views, files);
    }
  } catch (error) {
    for (const view of views) view[Symbol.dispose]();
    throw error;
  }
  return new LayeredTree(views, files, true);
}

/** One layer as the layers below it make it look, and those layers as a tree. */
export interface LayerOverTree extends Disposable {
  readonly view: LayerView;
  readonly below: UnionTree;
  /** The bytes of a regular file that the view has. */
  read(entry: Entry): Iterable<Uint8Array>;
}

/** Whoever opens it disposes it; `below` is not to be disposed by itself. */
export function openLayerOver(layer: Layer, below: readonly Layer[]): LayerOverTree {
  const tree = openLayeredTree([...below, layer]);
  const views = tree.views;
  return {
    view: views.at(-1)!,
    below: tree.lower(views.length - 1),
    read: (entry) => tree.read({ entry, layer: views.length - 1 }),
    [Symbol.dispose]: () => tree[Symbol.dispose](),
  };
}

const CHUNK_SIZE = 256 << 10;
const CACHED_DIRECTORIES = 4096;

/** See `LayerView`. `views` are the layers up to and with this one. */
function addRedirects(view: LayerView, views: readonly LayerView[], files: LayerFiles): void {
  if (view.index.joints.length === 0 || views.length === 1) {
    if (!view.index.joints.some((joint) => view.index.lookup(joint)?.type === "symlink")) return;
  }
  const below = new LayeredTree(views.slice(0, -1), files, false);
  for (const joint of view.index.joints) {
    const seen = view.seenAt(joint);
    const own = view.index.lookup(joint)!;
    const linked = own.type === "symlink" ? own : below.lookup(seen)?.entry;
    if (linked?.type !== "symlink") continue;
    // The link is its own layer's or a lower one's; what it leads through may be either's.
    const tree = own.type === "symlink" ? new LayeredTree(views, files, false) : below;
    view.addRedirect({ from: joint, to: tree.resolve(seen).path, movesItself: own.type !== "symlink" });
  }
}

/** The layers that have a directory, top first, down to the one below which nothing of it is seen. */
type Participants = readonly number[];

class LayeredTree implements UnionTree {
  readonly layers: readonly Layer[];
  readonly views: readonly LayerView[];
  readonly #files: LayerFiles;
  readonly #isOwner: boolean;
  readonly #participants = new Map<RootfsPath, Participants>();
  readonly #lower = new Map<number, LayeredTree>();

  constructor(views: readonly LayerView[], files: LayerFiles, isOwner: boolean) {
    this.layers = views.map((view) => view.layer);
    this.views = views;
    this.#files = files;
    this.#isOwner = isOwner;
  }

  lookup(path: RootfsPath): TreeEntry | undefined {
    if (path === ROOT) return this.#root();
    const found: TreeEntry[] = [];
    for (const layer of this.#participantsOf(parentPath(path))) {
      const entry = this.views[layer]!.lookup(path);
      if (entry === undefined) continue;
      found.push({ entry, layer });
      if (!entry.implicit) break;
    }
    return this.#combine(found);
  }

  *list(directory: RootfsPath): Generator<TreeEntry> {
    const participants = this.#participantsOf(directory);
    const sources = participants.map((layer) => withLayer(this.views[layer]!.list(directory), layer));
    for (const found of mergeSorted(sources, compareNames)) {
      const entry = this.#combine(found);
      if (entry !== undefined) yield entry;
    }
  }

  *walk(prefix: RootfsPath = ROOT): Generator<TreeEntry> {
    const top = this.lookup(prefix);
    if (top === undefined) return;
    yield top;
    if (top.entry.type === "directory") yield* this.#walkBelow(prefix);
  }

  resolve(path: string, options: { readonly followLast?: boolean } = {}): ResolvedPath {
    return resolvePath((at) => this.lookup(at), path, options.followLast ?? true);
  }

  locate({ entry, layer, dataPath = entry.path }: TreeEntry): FileSlice {
    const { content } = this.layers[layer]!;
    if (content.kind === "tar")
      return { filePath: content.tarPath, offset: entry.dataOffset!, size: entry.size };
    return { filePath: diskPath(content.directoryPath, dataPath), offset: 0, size: entry.size };
  }

  read(entry: TreeEntry): Iterable<Uint8Array> {
    return this.#files.read(this.locate(entry), this.layers[entry.layer]!.content.kind === "tar");
  }

  readWhole(entry: TreeEntry, limitBytes = 1 << 20): Buffer {
    if (entry.entry.size > limitBytes) {
      throw new BuildError(
        "input-limit",
        `Cannot read "${pathToText(entry.entry.path)}": it is larger than ${limitBytes} bytes`,
      );
    }
    const parts: Buffer[] = [];
    for (const chunk of this.read(entry)) parts.push(Buffer.from(chunk));
    return Buffer.concat(parts);
  }

  [Symbol.dispose](): void {
    if (!this.#isOwner) return;
    for (const view of this.views) view[Symbol.dispose]();
    this.#files[Symbol.dispose]();
  }

  /** The tree of the layers below one. Lives as long as this tree. */
  lower(layer: number): LayeredTree {
    let lower = this.#lower.get(layer);
    if (lower === undefined) {
      lower = new LayeredTree(this.views.slice(0, layer), this.#files, false);
      this.#lower.set(layer, lower);
    }
    return lower;
  }

  #root(): TreeEntry {
    const found = this.views.map((view, layer) => ({ entry: view.lookup(ROOT)!, layer })).reverse();
    return this.#combine(found) ?? { entry: withoutMarks(implicitDirectory(ROOT)), layer: 0 };
  }

  /** From what the layers have at one path, top first, to what is seen there. */
  #combine(found: readonly TreeEntry[]): TreeEntry | undefined {
    const first = found[0];
    if (first === undefined || first.entry.type === "whiteout") return undefined;
    if (first.entry.foreignLink) return this.#followForeignLink(first);
    if (!first.entry.implicit) return { entry: withoutMarks(first.entry), layer: first.layer };
    const listed = found.find(({ entry }) => !entry.implicit);
    const isDirectory = listed?.entry.type === "directory";
    return isDirectory
      ? { entry: withoutMarks(listed.entry), layer: listed.layer }
      : { entry: withoutMarks(first.entry), layer: first.layer };
  }

  /** A hard link into a lower layer is a file of its own, with that file's bytes. */
  #followForeignLink({ entry, layer }: TreeEntry): TreeEntry {
    const target = this.lower(layer).resolve(entry.hardLinkOf!, { followLast: false }).entry;
    if (target === undefined || target.entry.type === "directory") {
      throw new BuildError(
        "image-invalid",
        `Cannot read "${pathToText(entry.path)}": it is a hard link to "${pathToText(entry.hardLinkOf!)}", which no lower layer has`,
      );
    }
    const { hardLinkOf: _, ...file } = target.entry;
    const dataPath = target.dataPath ?? file.path;
    return { entry: { ...file, path: entry.path }, layer: target.layer, dataPath };
  }

  #participantsOf(directory: RootfsPath): Participants {
    const cached = this.#participants.get(directory);
    if (cached !== undefined) return cached;
    const candidates =
      directory === ROOT
        ? this.views.map((_, layer) => layer).reverse()
        : this.#participantsOf(parentPath(directory));
    const participants: number[] = [];
    for (const layer of candidates) {
      const entry = this.views[layer]!.lookup(directory);
      if (entry === undefined) continue;
      if (entry.type !== "directory") break;
      participants.push(layer);
      if (entry.opaque) break;
    }
    if (this.#participants.size >= CACHED_DIRECTORIES) {
      this.#participants.delete(this.#participants.keys().next().value!);
    }
    this.#participants.set(directory, participants);
    return participants;
  }

  *#walkBelow(directory: RootfsPath): Generator<TreeEntry> {
    const participants = this.#participantsOf(directory);
    const view = participants.length === 1 ? this.views[participants[0]!]! : undefined;
    if (view === undefined || view.hasRedirects) {
      for (const child of this.list(directory)) {
        yield child;
        if (child.entry.type === "directory") yield* this.#walkBelow(child.entry.path);
      }
      return;
    }
    // One layer has it all: its index is read straight through.
    for (const entry of view.index.scan(directory)) {
      if (entry.path === directory || entry.type === "whiteout") continue;
      const seen = this.#combine([{ entry, layer: participants[0]! }]);
      if (seen !== undefined) yield seen;
    }
  }
}

function* withLayer(entries: Iterable<Entry>, layer: number): Generator<TreeEntry> {
  for (const entry of entries) yield { entry, layer };
}

function compareNames(a: TreeEntry, b: TreeEntry): number {
  return comparePaths(a.entry.path, b.entry.path);
}

function withoutMarks(entry: Entry): Entry {
  if (!entry.opaque && !entry.implicit) return entry;
  const { opaque: _, implicit: __, ...rest } = entry;
  return rest;
}

/** A path on disk; a buffer where text would not name it. */
export function diskPath(directory: string, path: RootfsPath): string | Buffer {
  if (path === ROOT) return directory;
  for (let at = 0; at < path.length; at++) {
    if (path.charCodeAt(at) > 0x7f)
      return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, "latin1")]);
  }
  return `${directory}/${path}`;
}

/** Open files of layers: a tar stays open until the tree is disposed. */
class LayerFiles implements Disposable {
  readonly #open = new Map<string, number>();

  *read({ filePath, offset, size }: FileSlice, isKeptOpen: boolean): Generator<Uint8Array> {
    if (size === 0) return;
    const fd = isKeptOpen
      ? this.#keepOpen(String(filePath))
      : openSync(filePath, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    try {
      const buffer = Buffer.allocUnsafeSlow(Math.min(size, CHUNK_SIZE));
      for (let done = 0; done < size; ) {
        const read = readSync(fd, buffer, 0, Math.min(buffer.length, size - done), offset + done);
        if (read === 0) throw new Error(`"${filePath}" is shorter than its layer's index says`);
        done += read;
        yield buffer.subarray(0, read);
      }
    } finally {
      if (!isKeptOpen) closeSync(fd);
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }

  #keepOpen(path: string): number {
    const open = this.#open.get(path);
    if (open !== undefined) return open;
    const fd = openSync(path, "r");
    this.#open.set(path, fd);
    return fd;
  }
}
