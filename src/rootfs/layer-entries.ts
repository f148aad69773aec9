import { renameSync, rmSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { BuildError } from "../errors/build-error.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { IndexReader } from "./index-reader.ts";
import { writeIndex } from "./index-writer.ts";
import type { RecordSorter, Sequenced } from "./record-sorter.ts";
import { comparePaths, isWithin, parentPath, pathToText, ROOT } from "./rootfs-path.ts";

/*
 * From what a tar says, member by member, to what a layer is: one entry a path. The rules are those of docker applying
 * the archive: the last member of a path wins, a directory met again keeps what is in it, anything else that replaces a
 * directory empties it. Whiteouts and opaque markers are about lower layers only, wherever they stand in the archive.
 */

/** A directory that nobody described. */
export function implicitDirectory(path: RootfsPath): Entry {
  return {
    path,
    type: "directory",
    mode: 0o755,
    uid: 0,
    gid: 0,
    size: 0,
    mtime: 0,
    mtimeNs: 0,
    implicit: true,
  };
}

/**
 * Sorts out the collected entries and writes the layer's index. A hard link was added as a file with `hardLinkOf` and
 * neither size nor data offset; an opaque marker as an implicit, opaque directory.
 * @throws BuildError `image-invalid` when the members contradict each other.
 */
export function writeLayerIndex(
  indexPath: string,
  sorter: RecordSorter,
  /** May throw. A few deep names imply more directories than there are members. */
  checkCount: (entries: number) => void = () => {},
): void {
  const links: Link[] = [];
  const replaced = new Set<RootfsPath>();
  const complete = completeParents(fillWhiteouts(mergePaths(sorter.sorted(), replaced)));
  const entries = counted(complete, checkCount);
  const unlinkedPath = `${indexPath}.unlinked`;
  try {
    writeIndex(unlinkedPath, collectLinks(entries, links));
    if (links.length === 0) {
      renameSync(unlinkedPath, indexPath);
      return;
    }
    using index = new IndexReader(unlinkedPath);
    writeIndex(indexPath, resolveLinks(index, links, replaced));
  } finally {
    rmSync(unlinkedPath, { force: true });
  }
}

function* counted(entries: Iterable<Merged>, checkCount: (entries: number) => void): Generator<Merged> {
  let count = 0;
  for (const entry of entries) {
    checkCount(++count);
    yield entry;
  }
}

interface Link {
  readonly path: RootfsPath;
  readonly target: RootfsPath;
  /** Where its header stands among those of the archive. */
  readonly sequence: number;
}

interface Merged {
  readonly entry: Entry;
  /** Whatever was below the path before this point of the archive is gone. */
  readonly barrier: number;
  readonly sequence: number;
}

function* mergePaths(sorted: Iterable<Sequenced>, replaced: Set<RootfsPath>): Generator<Merged> {
  let group: Sequenced[] = [];
  for (const next of sorted) {
    if (group.length > 0 && group[0]!.entry.path !== next.entry.path) {
      yield mergeGroup(group, replaced);
      group = [];
    }
    group.push(next);
    // The same path a million times must not be held a million times.
    if (group.length > 64) group = [toSequenced(mergeGroup(group, replaced))];
  }
  if (group.length > 0) yield mergeGroup(group, replaced);
}

function toSequenced({ entry, sequence }: Merged): Sequenced {
  return { entry, sequence };
}

function mergeGroup(group: readonly Sequenced[], replaced: Set<RootfsPath>): Merged {
  const { path } = group[0]!.entry;
  let current: Sequenced | undefined;
  let isRemoved = false;
  let isOpaque = false;
  let barrier = -1;
  for (const next of group) {
    const { entry } = next;
    if (entry.type === "whiteout") {
      isRemoved = true;
      continue;
    }
    if (entry.opaque) isOpaque = true;
    if (entry.implicit) continue;
    if (current !== undefined && current.entry.type !== "directory") replaced.add(path);
    if (entry.type !== "directory") barrier = next.sequence;
    current = next;
  }
  const { sequence } = current ?? group.at(-1)!;
  if (current === undefined) {
    if (isOpaque) return { entry: { ...implicitDirectory(path), opaque: true }, barrier, sequence };
    return { entry: group.find(({ entry }) => entry.type === "whiteout")!.entry, barrier, sequence };
  }
  const { opaque: _, ...entry } = current.entry;
  const hidesBelow = entry.type === "directory" && (isOpaque || isRemoved);
  return { entry: hidesBelow ? { ...entry, opaque: true } : entry, barrier, sequence };
}

/** A path that is removed and has something below it all the same is a new directory. */
function* fillWhiteouts(merged: Iterable<Merged>): Generator<Merged> {
  let held: Merged | undefined;
  for (const next of merged) {
    if (held !== undefined) {
      const { path } = held.entry;
      const { implicit: _, ...directory } = implicitDirectory(path);
      yield isWithin(next.entry.path, path) ? { ...held, entry: { ...directory, opaque: true } } : held;
      held = undefined;
    }
    if (next.entry.type === "whiteout") held = next;
    else yield next;
  }
  if (held !== undefined) yield held;
}

/** Adds the directories that are not listed and drops what an ancestor's replacement removed. */
function* completeParents(merged: Iterable<Merged>): Generator<Merged> {
  const ancestors: Merged[] = [];
  const enter = (next: Merged): Merged => {
    ancestors.push(next);
    return next;
  };
  for (const next of merged) {
    const { path, type } = next.entry;
    while (ancestors.length > 0 && !isWithin(path, ancestors.at(-1)!.entry.path)) ancestors.pop();
    if (path !== ROOT && ancestors.length === 0) yield enter(implicit(ROOT));
    if (ancestors.some(({ barrier }) => next.sequence < barrier)) continue;
    for (const missing of missingParents(path, ancestors.at(-1)?.entry.path)) yield enter(implicit(missing));
    const parent = ancestors.at(-1);
    if (parent !== undefined && parent.entry.type !== "directory") {
      if (parent.entry.type !== "symlink") {
        throw new BuildError(
          "image-invalid",
          `Cannot read the layer: "${pathToText(path)}" lies in "${pathToText(parent.entry.path)}", which is no directory`,
        );
      }
    }
    if (path === ROOT && type !== "directory") {
      throw new BuildError("image-invalid", "Cannot read the layer: its root is no directory");
    }
    yield enter(next);
  }
  if (ancestors.length === 0) yield implicit(ROOT);
}

function implicit(path: RootfsPath): Merged {
  return { entry: implicitDirectory(path), barrier: -1, sequence: -1 };
}

function missingParents(path: RootfsPath, ancestor: RootfsPath | undefined): RootfsPath[] {
  const missing: RootfsPath[] = [];
  if (path === ROOT) return missing;
  for (let parent = parentPath(path); parent !== ancestor && parent !== ROOT; parent = parentPath(parent)) {
    missing.unshift(parent);
  }
  return missing;
}

function* collectLinks(entries: Iterable<Merged>, links: Link[]): Generator<Entry> {
  for (const { entry, sequence } of entries) {
    if (entry.hardLinkOf !== undefined && entry.hardLinkOf !== entry.path) {
      links.push({ path: entry.path, target: entry.hardLinkOf, sequence });
    }
    yield entry;
  }
}

/** Gives each link what the file that it stands for has, and each group its first path. */
function* resolveLinks(
  index: IndexReader,
  links: readonly Link[],
  replaced: ReadonlySet<RootfsPath>,
): Generator<Entry> {
  /** By the path of the member that has the bytes. */
  const firstOf = new Map<RootfsPath, RootfsPath>();
  const ownerOf = (path: RootfsPath, target: RootfsPath): Entry | undefined => {
    if (replaced.has(target)) {
      throw invalidLink(path, target, "the archive has more than one file of that name");
    }
    let entry = index.lookup(target);
    for (let hops = 0; entry?.hardLinkOf !== undefined && entry.hardLinkOf !== entry.path; hops++) {
      if (hops > 64) throw invalidLink(path, target, "the links lead round in a circle");
      const next = index.lookup(entry.hardLinkOf);
      // The rest of the way lies in a lower layer.
      if (next === undefined || next.type === "whiteout") return entry;
      entry = next;
    }
    return entry?.type === "whiteout" ? undefined : entry;
  };
  for (const { path, target } of links) {
    const owner = ownerOf(path, target);
    if (owner !== undefined && !firstOf.has(owner.path)) {
      // `links` is in the order of the index, so only the owner itself can come before.
      firstOf.set(owner.path, comparePaths(owner.path, path) < 0 ? owner.path : path);
    }
  }
  /** The files that a link says something else of; almost always none. */
  const described = new Map<RootfsPath, Entry>();
  for (const { path, target } of links.toSorted((a, b) => a.sequence - b.sequence)) {
    const owner = ownerOf(path, target);
    if (owner === undefined) continue;
    const file = described.get(owner.path) ?? owner;
    const header = index.lookup(path)!;
    if (!isDescribedBy(file, header)) described.set(owner.path, describeAnew(file, header));
  }
  for (const entry of index.scan(ROOT)) {
    if (entry.hardLinkOf === undefined || entry.hardLinkOf === entry.path) {
      const first = firstOf.get(entry.path);
      const file = described.get(entry.path) ?? entry;
      yield first === undefined || file.type !== "file" ? file : { ...file, hardLinkOf: first };
      continue;
    }
    const owner = ownerOf(entry.path, entry.hardLinkOf);
    if (owner?.type === "directory") {
      throw invalidLink(entry.path, owner.path, "it is a directory");
    }
    if (owner === undefined || (owner.hardLinkOf !== undefined && owner.hardLinkOf !== owner.path)) {
      yield { ...entry, hardLinkOf: owner?.hardLinkOf ?? entry.hardLinkOf, foreignLink: true };
    } else {
      const hardLinkOf = owner.type === "file" ? firstOf.get(owner.path) : undefined;
      yield { ...(described.get(owner.path) ?? owner), path: entry.path, hardLinkOf };
    }
  }
}

function isDescribedBy(file: Entry, header: Entry): boolean {
  const { mode, uid, gid, mtime, mtimeNs, xattrs } = header;
  const isSame = file.mode === mode && file.uid === uid && file.gid === gid;
  return isSame && file.mtime === mtime && file.mtimeNs === mtimeNs && isDeepStrictEqual(file.xattrs, xattrs);
}

/**
 * What the header of a hard link makes of the file: docker gives the owner, attributes, mode and time of each header to what its name leads
 * to, so the last one counts; a change of the owner takes capabilities away.
 */
function describeAnew(file: Entry, { mode, uid, gid, mtime, mtimeNs, xattrs }: Entry): Entry {
  const { xattrs: before, ...rest } = file;
  const { "security.capability": _, ...kept } = before ?? {};
  const all = { ...kept, ...xattrs };
  return {
    ...rest,
    ...(file.type === "symlink" ? {} : { mode }),
    ...{ uid, gid, mtime, mtimeNs },
    ...(Object.keys(all).length === 0 ? {} : { xattrs: all }),
  };
}

function invalidLink(path: RootfsPath, target: RootfsPath, what: string): BuildError {
  const names = `"${pathToText(path)}" as a hard link to "${pathToText(target)}"`;
  return new BuildError("image-invalid", `Cannot read ${names}: ${what}`);
}
