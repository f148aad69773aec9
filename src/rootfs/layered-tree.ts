import { BuildError } from "../errors/build-error.ts";
import { diskPath } from "./disk-path.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { expandedPath } from "./expanded-files.ts";
import type { Layer } from "./layer.ts";
import { implicitDirectory } from "./layer-entries.ts";
import type { LayerFiles } from "./layer-files.ts";
import type { LayerView } from "./layer-view.ts";
import { mergeSorted } from "./merge-sorted.ts";
import { resolvePath } from "./resolve-path.ts";
import { comparePaths, parentPath, pathToText, ROOT } from "./rootfs-path.ts";
import type { FileSlice, ResolvedPath, TreeEntry, UpperTree } from "./union-tree.ts";

const CACHED_DIRECTORIES = 4096;

/** A question whose answer lies, perhaps, in layers below those that are here. */
export class Unsettled extends Error {}

/** The layers that have a directory, top first, down to the one below which nothing of it is seen. */
interface Participants {
  readonly layers: readonly number[];
  /** Something hides what layers below the tree's may have. */
  readonly isClosed: boolean;
}

interface LayeredTreeOptions {
  readonly files: LayerFiles;
  /** It closes the views and files. */
  readonly isOwner: boolean;
  /** There are layers below that are not here: see `openUpperTree`. */
  readonly isUpper: boolean;
}

/** See `openUnionTree` and `openUpperTree`. */
export class LayeredTree implements UpperTree {
  readonly layers: readonly Layer[];
  readonly views: readonly LayerView[];
  readonly #options: LayeredTreeOptions;
  readonly #participants = new Map<RootfsPath, Participants>();
  readonly #lower = new Map<number, LayeredTree>();

  constructor(views: readonly LayerView[], options: LayeredTreeOptions) {
    this.layers = views.map((view) => view.layer);
    this.views = views;
    this.#options = options;
  }

  lookup(path: RootfsPath): TreeEntry | undefined {
    if (path === ROOT) return this.#root();
    const found: TreeEntry[] = [];
    const { layers, isClosed } = this.#participantsOf(parentPath(path));
    let isSettled = isClosed || !this.#options.isUpper;
    for (const layer of layers) {
      const entry = this.views[layer]!.lookup(path);
      if (entry === undefined) continue;
      found.push({ entry, layer });
      if (entry.implicit) continue;
      isSettled = true;
      break;
    }
    if (!isSettled) throw new Unsettled();
    return this.#combine(found);
  }

  isClosed(directory: RootfsPath): boolean {
    return this.#participantsOf(directory).isClosed;
  }

  *list(directory: RootfsPath): Generator<TreeEntry> {
    const { layers } = this.#participantsOf(directory);
    const sources = layers.map((layer) => withLayer(this.views[layer]!.list(directory), layer));
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
    if (content.kind === "tar") {
      const filePath = entry.sparse ? expandedPath(content.tarPath) : content.tarPath;
      return { filePath, offset: entry.dataOffset!, size: entry.size };
    }
    return { filePath: diskPath(content.directoryPath, dataPath), offset: 0, size: entry.size };
  }

  read(entry: TreeEntry): Iterable<Uint8Array> {
    return this.#options.files.read(this.locate(entry), this.layers[entry.layer]!.content.kind === "tar");
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
    if (!this.#options.isOwner) return;
    for (const view of this.views) view[Symbol.dispose]();
    this.#options.files[Symbol.dispose]();
  }

  /** The tree of the layers below one. Lives as long as this tree. */
  lower(layer: number): LayeredTree {
    let lower = this.#lower.get(layer);
    if (lower === undefined) {
      lower = new LayeredTree(this.views.slice(0, layer), { ...this.#options, isOwner: false });
      this.#lower.set(layer, lower);
    }
    return lower;
  }

  #root(): TreeEntry {
    const found: TreeEntry[] = [];
    for (let layer = this.views.length - 1; layer >= 0; layer--) {
      const entry = this.views[layer]!.lookup(ROOT)!;
      found.push({ entry, layer });
      if (!entry.implicit) break;
    }
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

  /** A hard link into a lower layer is a file of its own, as that file is. DIFFERS: engines do not agree on what its header means. */
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
    const above =
      directory === ROOT
        ? { layers: this.views.map((_, layer) => layer).reverse(), isClosed: false }
        : this.#participantsOf(parentPath(directory));
    const layers: number[] = [];
    let { isClosed } = above;
    for (const layer of above.layers) {
      const entry = this.views[layer]!.lookup(directory);
      if (entry === undefined) continue;
      isClosed ||= entry.type !== "directory" || entry.opaque === true;
      if (entry.type === "directory") layers.push(layer);
      if (entry.type !== "directory" || entry.opaque) break;
    }
    const participants = { layers, isClosed };
    if (this.#participants.size >= CACHED_DIRECTORIES) {
      this.#participants.delete(this.#participants.keys().next().value!);
    }
    this.#participants.set(directory, participants);
    return participants;
  }

  *#walkBelow(directory: RootfsPath): Generator<TreeEntry> {
    const { layers } = this.#participantsOf(directory);
    const view = layers.length === 1 ? this.views[layers[0]!]! : undefined;
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
      const seen = this.#combine([{ entry, layer: layers[0]! }]);
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
