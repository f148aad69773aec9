import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { CopyDestination } from "./copy-destination.ts";
import type { SelectedItem, WriteCopyRequest, WrittenLayer } from "./copy-request.ts";
import { CopySources } from "./copy-sources.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import type { MakeIgnoreMatcher } from "./ignore-matcher.ts";
import { LayerWriter } from "./layer-writer.ts";
import { mergeSorted } from "./merge-sorted.ts";
import { newDirectory } from "./new-directory.ts";
import { parseModeChange } from "./parse-mode-change.ts";
import { placeArchive } from "./place-archive.ts";
import { PlacedEntries, type PlacedGroup } from "./placed-entries.ts";
import { type Owner, resolveOwnerIn } from "./resolve-owner.ts";
import { comparePaths, isWithin, joinPath, parentPath, pathToText } from "./rootfs-path.ts";
import type { PlainSelection } from "./select-copy.ts";
import type { SelectedEntry } from "./selection-file.ts";
import { openUnionTree, type UnionTree } from "./union-tree.ts";
import { unpackArchive } from "./unpack-archive.ts";
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
export async function writeCopyLayer(
  request: PlainWriteCopyRequest,
  options: WriteCopyOptions,
): Promise<WrittenLayer> {
  const { selection, layersDirectory } = request;
  mkdirSync(layersDirectory, { recursive: true });
  const workDirectory = join(layersDirectory, `.copy-${randomBytes(9).toString("hex")}`);
  mkdirSync(workDirectory, { mode: 0o700 });
  try {
    using tree = openUnionTree(selection.request.link ? [] : request.base);
    using sources = new CopySources(selection.request, options.makeIgnoreMatcher);
    const { chown } = selection.request;
    const owner = chown ? resolveOwnerIn(chown, request.userLayers) : undefined;
    using placed = new PlacedEntries(workDirectory, selection.selectionPath, owner);
    const destination = new CopyDestination(tree, selection.request.destination);
    const layout: Layout = { request, owner, tree, sources, destination, placed, workDirectory };
    for (const item of selection.items) {
      if (!item.mayUnpack || !(await layArchive(layout, item))) layItem(layout, item);
      options.throwIfAborted?.();
    }
    using writer = new LayerWriter(layersDirectory, { onProgress: options.onProgress, usesThread: true });
    const merge = new Merge({ tree, placed, sources, writer });
    const made = madeDirectories(layout);
    const steps = mergeSorted<Step>([made, placed.groups()], (a, b) => comparePaths(a.path, b.path));
    for (const step of steps) {
      options.throwIfAborted?.();
      merge.write(step);
    }
    writeTarEnd(writer);
    return writer.finish();
  } finally {
    rmSync(workDirectory, { recursive: true, force: true });
  }
}

interface Layout {
  readonly request: PlainWriteCopyRequest;
  /** Of `--chown`. */
  readonly owner: Owner | undefined;
  readonly tree: UnionTree;
  readonly sources: CopySources;
  readonly destination: CopyDestination;
  readonly placed: PlacedEntries;
  readonly workDirectory: string;
}

function layItem({ destination, placed }: Layout, item: SelectedItem): void {
  const place = destination.place(item);
  placed.startItem(item);
  for (let offset = item.start; offset < item.end; ) {
    const { selected, next } = placed.selection.read(offset);
    placed.addSelected(joinPath(place, selected.entry.path), offset);
    offset = next;
  }
}

/** False when the item's file is no archive. */
async function layArchive(layout: Layout, item: SelectedItem): Promise<boolean> {
  const { request, owner, tree, sources, destination, placed, workDirectory } = layout;
  const { selected } = placed.selection.read(item.start);
  const layer = await unpackArchive({
    open: () => sources.read(item, selected),
    size: selected.entry.size,
    layersDirectory: workDirectory,
    limits: request.limits,
  });
  if (layer === undefined) return false;
  placed.startItem(item);
  const archive = {
    layer,
    number: sources.addArchive(layer),
    place: destination.placeArchive(),
    tree,
    owner,
    mtime: request.mtime ?? 0,
  };
  for (const { path, selected: member } of placeArchive(archive)) placed.addMember(path, member);
  return true;
}

type Step = { readonly kind: "made"; readonly path: RootfsPath; readonly entry: Entry } | PlacedGroup;

/** The directories above what is copied, in order: new ones, and those below as they are. */
function madeDirectories({ request, owner, tree, destination: { touched } }: Layout): Step[] {
  const { selection, mtime = 0 } = request;
  const { chmod } = selection.request;
  const mode = chmod ? parseModeChange(chmod)(0o755, true) : undefined;
  const made = new Map<RootfsPath, Entry>();
  // A parent comes before what lies in it.
  return [...touched]
    .sort(([a], [b]) => comparePaths(a, b))
    .map(([path, directory]): Step => {
      const below = directory.isNew ? undefined : tree.lookup(path)!.entry;
      const above = parentPath(path);
      const parent = made.get(above) ?? tree.lookup(above)?.entry;
      const entry = below ?? newDirectory(path, { parent, mode, owner, mtime });
      made.set(path, entry);
      const time = directory.mtime === undefined ? {} : { mtime: directory.mtime };
      return { kind: "made", path, entry: { ...entry, ...time } };
    });
}

interface MergeParts {
  readonly tree: UnionTree;
  readonly placed: PlacedEntries;
  readonly sources: CopySources;
  readonly writer: LayerWriter;
}

interface Winner {
  readonly selected: SelectedEntry;
  readonly item: SelectedItem;
}

/** Writes what one path becomes when items are copied onto it one after the other. */
class Merge {
  readonly #parts: MergeParts;
  /** By item and inode: the path that has the bytes. */
  readonly #written = new Map<string, RootfsPath>();
  /** The last thing written that was no directory: an archive may have put it over one that was copied before. */
  #leaf: RootfsPath | undefined;

  constructor(parts: MergeParts) {
    this.#parts = parts;
  }

  /** Both steps that have one path, or one of them. */
  write([first, second]: readonly Step[]): void {
    const { path } = first!;
    if (this.#leaf !== undefined && isWithin(path, this.#leaf)) return;
    const made = first!.kind === "made" ? first!.entry : undefined;
    const step = first!.kind === "made" ? second : first;
    if (step?.kind !== "placed") {
      writeEntry(this.#parts.writer, made!);
      return;
    }
    let current: Entry | undefined = made ?? this.#parts.tree.lookup(path)?.entry;
    let winner: Winner | undefined;
    for (const placed of step.group) {
      winner = this.#parts.placed.read(placed);
      current = meet(path, current, winner.selected);
    }
    if (current!.type !== "directory") this.#leaf = path;
    this.#writeOne(current!, winner!);
  }

  #writeOne(entry: Entry, { selected, item }: Winner): void {
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
      const isVouchedFor = sources.isStored(item, selected);
      writeEntry(writer, rest, sources.read(item, selected), { isVouchedFor });
    } catch (error) {
      if (!(error instanceof ContentChanged)) throw error;
      throw new BuildError(
        "copy-failed",
        `Cannot copy "${pathToText(selected.dataPath)}": it changed while it was read`,
      );
    }
  }
}

/** What a path is once an entry came onto what was there. See `EntryRole`. */
function meet(path: RootfsPath, current: Entry | undefined, { entry, role }: SelectedEntry): Entry {
  const isDirectory = entry.type === "directory";
  const collides = current !== undefined && isDirectory !== (current.type === "directory");
  if (collides && role !== "unpacked") throw collision(path, isDirectory);
  if (current !== undefined && role === "implied") return current;
  // A directory that only leads to something changes no more than the mode of one that is there.
  if (current !== undefined && role === "parent") return { ...current, mode: entry.mode };
  return { ...entry, path };
}

function collision(path: RootfsPath, isDirectory: boolean): BuildError {
  const [what, onto] = isDirectory ? ["a directory", "a file or a link"] : ["a file", "a directory"];
  return new BuildError("copy-failed", `Cannot copy ${what} to "${pathToText(path)}": ${onto} is there`);
}
