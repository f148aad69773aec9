import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { CopyDestination, type TouchedDirectory } from "./copy-destination.ts";
import type {
  CopyRequestSource,
  CopyTree,
  SelectCopyRequest,
  SelectedItem,
  WriteCopyRequest,
  WrittenLayer,
} from "./copy-request.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import type { MakeIgnoreMatcher } from "./ignore-matcher.ts";
import type { Layer } from "./layer.ts";
import { LayerWriter } from "./layer-writer.ts";
import { mergeSorted } from "./merge-sorted.ts";
import { parseModeChange } from "./parse-mode-change.ts";
import { RecordSorter, type Sequenced } from "./record-sorter.ts";
import { isNumericOwner, type Owner, resolveOwner } from "./resolve-owner.ts";
import { comparePaths, joinPath, pathToText } from "./rootfs-path.ts";
import type { PlainSelection } from "./select-copy.ts";
import { type SelectedEntry, SelectionReader } from "./selection-file.ts";
import { openSourceTree, type SourceTree } from "./source-tree.ts";
import { openUnionTree, type UnionTree } from "./union-tree.ts";
import { ContentChanged, writeEntry, writeTarEnd } from "./write-entry.ts";

export type PlainWriteCopyRequest = Omit<WriteCopyRequest, "selection"> & {
  readonly selection: PlainSelection;
};

export interface WriteCopyOptions {
  readonly makeIgnoreMatcher: MakeIgnoreMatcher;
  readonly throwIfAborted?: () => void;
  /** Called with the number of bytes of the tar that were written. */
  readonly onProgress?: (doneBytes: number) => void;
}

/**
 * Writes the layer of a COPY: what was selected, and the directories above it as they are below. The tar is in the order
 * of an index, so that the same tree gives the same diff ID in whatever order it was found.
 * @throws BuildError `copy-failed` when a file and a directory collide, or a source changed since it was selected.
 */
export function writeCopyLayer(request: PlainWriteCopyRequest, options: WriteCopyOptions): WrittenLayer {
  const { selection, layersDirectory } = request;
  using tree = openUnionTree(selection.request.link ? [] : request.base);
  mkdirSync(layersDirectory, { recursive: true });
  using sorter = new RecordSorter(join(layersDirectory, `.sort-${randomBytes(9).toString("hex")}`));
  using reader = new SelectionReader(selection.selectionPath);
  const destination = new CopyDestination(tree, selection.request.destination);
  /** By the sequence of an item's first record: the item. */
  const starts: { readonly sequence: number; readonly item: SelectedItem }[] = [];
  for (const item of selection.items) {
    const place = destination.place(item);
    starts.push({ sequence: sorter.count, item });
    for (let offset = item.start; offset < item.end; ) {
      const { selected, next } = reader.read(offset);
      sorter.add(placed(selected, place, offset));
      offset = next;
    }
    options.throwIfAborted?.();
  }
  using sources = new Sources(request, options.makeIgnoreMatcher);
  using writer = new LayerWriter(layersDirectory);
  const merge = new Merge({ tree, reader, sources, writer, starts });
  const made = madeDirectories(request, tree, destination.touched);
  const steps = mergeSorted<Step>([made, groupByPath(sorter.sorted())], (a, b) =>
    comparePaths(a.path, b.path),
  );
  for (const [step, collision] of steps) {
    options.throwIfAborted?.();
    // A directory that an item is copied into is no entry of another item: they share one destination.
    if (collision !== undefined) throw collides(step!.path);
    if (step!.kind === "made") writeEntry(writer, step!.entry);
    else merge.write(step!.group);
    options.onProgress?.(writer.offset);
  }
  writeTarEnd(writer);
  return writer.finish();
}

type Step =
  | { readonly kind: "made"; readonly path: RootfsPath; readonly entry: Entry }
  | { readonly kind: "selected"; readonly path: RootfsPath; readonly group: readonly Sequenced[] };

/** What the sorter needs of a record: where it goes, and (as a data offset) where it stands in the selection file. */
function placed({ entry }: SelectedEntry, place: RootfsPath, offset: number): Entry {
  const { type, mode, uid, gid, size, mtime, mtimeNs } = entry;
  const path = joinPath(place, entry.path);
  return { path, type, mode, uid, gid, size, mtime, mtimeNs, dataOffset: offset };
}

/** The directories above what is copied, in order: new ones, and those below as they are. */
function madeDirectories(
  { selection, base, mtime = 0 }: PlainWriteCopyRequest,
  tree: UnionTree,
  touched: ReadonlyMap<RootfsPath, TouchedDirectory>,
): Step[] {
  const { chown, chmod } = selection.request;
  const owner = chown ? resolveNewOwner(chown, base) : { uid: 0, gid: 0 };
  const mode = chmod ? parseModeChange(chmod)(0o755, true) : 0o755;
  return [...touched]
    .sort(([a], [b]) => comparePaths(a, b))
    .map(([path, directory]): Step => {
      const below = directory.isNew ? undefined : tree.lookup(path)!.entry;
      const entry: Entry = below ?? { path, type: "directory", mode, ...owner, size: 0, mtime, mtimeNs: 0 };
      const time = directory.mtime === undefined ? {} : { mtime: directory.mtime };
      return { kind: "made", path, entry: { ...entry, ...time } };
    });
}

function resolveNewOwner(chown: string, base: readonly Layer[]): Owner {
  if (isNumericOwner(chown)) {
    return resolveOwner(chown, () => {
      throw new Error("a number needs no database");
    });
  }
  // With --link too: names are those of the image that is copied into.
  using tree = openUnionTree(base);
  return resolveOwner(chown, () => tree);
}

function* groupByPath(sorted: Iterable<Sequenced>): Generator<Step> {
  let group: Sequenced[] = [];
  for (const next of sorted) {
    const path = group[0]?.entry.path;
    if (path !== undefined && path !== next.entry.path) {
      yield { kind: "selected", path, group };
      group = [];
    }
    group.push(next);
  }
  if (group.length > 0) yield { kind: "selected", path: group[0]!.entry.path, group };
}

interface MergeParts {
  readonly tree: UnionTree;
  readonly reader: SelectionReader;
  readonly sources: Sources;
  readonly writer: LayerWriter;
  readonly starts: readonly { readonly sequence: number; readonly item: SelectedItem }[];
}

/** Writes what one path becomes when items are copied onto it one after the other. */
class Merge {
  readonly #parts: MergeParts;
  /** By item and inode: the path that has the bytes. */
  readonly #written = new Map<string, RootfsPath>();

  constructor(parts: MergeParts) {
    this.#parts = parts;
  }

  write(group: readonly Sequenced[]): void {
    const { path } = group[0]!.entry;
    const below = this.#parts.tree.lookup(path)?.entry;
    let current: Entry | undefined = below;
    let winner: { readonly selected: SelectedEntry; readonly item: SelectedItem } | undefined;
    for (const { entry, sequence } of group) {
      const { selected } = this.#parts.reader.read(entry.dataOffset!);
      const isDirectory = selected.entry.type === "directory";
      if (current !== undefined && isDirectory !== (current.type === "directory"))
        throw collides(path, isDirectory);
      // A directory that only leads to something changes no more than the mode of one that is there.
      const keeps: Entry | undefined = selected.isParent ? current : undefined;
      current = keeps === undefined ? { ...selected.entry, path } : { ...keeps, mode: selected.entry.mode };
      winner = { selected, item: this.#itemOf(sequence) };
    }
    this.#writeOne(current!, winner!);
  }

  #writeOne(entry: Entry, { selected, item }: { selected: SelectedEntry; item: SelectedItem }): void {
    const { writer, sources } = this.#parts;
    const { dataOffset: _, hardLinkOf: __, ...rest } = entry;
    if (entry.type !== "file") {
      writeEntry(writer, rest);
      return;
    }
    if (selected.inode !== undefined) {
      const key = `${item.start} ${selected.inode}`;
      const first = this.#written.get(key);
      if (first !== undefined) {
        writeEntry(writer, { ...rest, hardLinkOf: first });
        return;
      }
      this.#written.set(key, entry.path);
    }
    try {
      writeEntry(
        writer,
        rest,
        sources.read(item, { ...selected, entry: { ...selected.entry, path: entry.path } }),
      );
    } catch (error) {
      if (!(error instanceof ContentChanged)) throw error;
      throw new BuildError(
        "copy-failed",
        `Cannot copy "${pathToText(selected.dataPath)}": it changed while it was read`,
      );
    }
  }

  #itemOf(sequence: number): SelectedItem {
    const { starts } = this.#parts;
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (starts[middle]!.sequence <= sequence) low = middle + 1;
      else high = middle;
    }
    return starts[low - 1]!.item;
  }
}

/** The trees that the items' bytes come from, opened when they are needed. */
class Sources implements Disposable {
  readonly #request: SelectCopyRequest;
  readonly #makeIgnoreMatcher: MakeIgnoreMatcher;
  readonly #trees = new Map<CopyTree | CopyRequestSource, SourceTree>();

  constructor({ selection }: PlainWriteCopyRequest, makeIgnoreMatcher: MakeIgnoreMatcher) {
    this.#request = selection.request;
    this.#makeIgnoreMatcher = makeIgnoreMatcher;
  }

  read(item: SelectedItem, { entry, layer, dataPath }: SelectedEntry): Iterable<Uint8Array> {
    const source = this.#request.sources[item.source]!;
    if (source.kind === "inline") return [Buffer.from(source.content, "utf8")];
    const tree = source.kind === "file" ? directoryOf(source.filePath) : source.tree;
    return this.#open(source.kind === "file" ? source : source.tree, tree).read({ entry, dataPath, layer });
  }

  [Symbol.dispose](): void {
    for (const tree of this.#trees.values()) tree[Symbol.dispose]();
  }

  #open(key: CopyTree | CopyRequestSource, tree: CopyTree): SourceTree {
    let open = this.#trees.get(key);
    if (open === undefined) {
      open = openSourceTree(tree, this.#makeIgnoreMatcher);
      this.#trees.set(key, open);
    }
    return open;
  }
}

/** As `selectCopy` reads a downloaded file. */
function directoryOf(filePath: string): CopyTree {
  return { kind: "directory", directory: dirname(filePath), ignorePatterns: [] };
}

function collides(path: RootfsPath, isDirectory = true): BuildError {
  const [what, onto] = isDirectory ? ["a directory", "a file or a link"] : ["a file", "a directory"];
  return new BuildError("copy-failed", `Cannot copy ${what} to "${pathToText(path)}": ${onto} is there`);
}
