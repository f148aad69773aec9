import { createHash, randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { BuildError } from "../errors/build-error.ts";
import { type FileDigests, openFileDigests } from "../store/file-digests.ts";
import { ContentHash } from "./content-hash.ts";
import type { CopyRequestSource, CopySelection, CopyTree, SelectCopyRequest } from "./copy-request.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { type FoundSource, findSources, missing } from "./find-sources.ts";
import type { IgnoreMatcher, MakeIgnoreMatcher } from "./ignore-matcher.ts";
import { hasWildcard } from "./match-glob.ts";
import { resolvePath } from "./resolve-path.ts";
import { baseName, bytesFromText, cleanPath, joinPath, ROOT, textFromBytes } from "./rootfs-path.ts";
import { SelectedItems } from "./selected-items.ts";
import { type EntryRole, SelectionWriter } from "./selection-file.ts";
import { openSourceTree, type SourceNode, type SourceTree, type SourceTreeOptions } from "./source-tree.ts";

export interface SelectOptions extends Pick<SourceTreeOptions, "onLook" | "onRead"> {
  readonly makeIgnoreMatcher: MakeIgnoreMatcher;
  readonly throwIfAborted?: () => void;
  /** Called with the number of bytes of files that were read. */
  readonly onProgress?: (doneBytes: number) => void;
}

/** What crosses threads of a `CopySelection`. */
export type PlainSelection = Omit<CopySelection, keyof AsyncDisposable>;

/**
 * Finds what a COPY copies and hashes it as it will be written: path below its source, type, mode after `--chmod`, owner
 * without `--chown`, size, content, link target, device, attributes, which names are one file. Never a time, never
 * an owner that is overwritten, never the mode and owner of a source directory itself (its contents are copied, not it).
 * Who `--chown` means is the writer's to find out: to be found in the cache, a COPY needs no file of its destination.
 * @throws BuildError `copy-source-missing`, `copy-failed`, `option-invalid`.
 */
export function selectCopy(request: SelectCopyRequest, options: SelectOptions): PlainSelection {
  const selectionPath = join(request.temporaryDirectory, `selection-${randomBytes(9).toString("hex")}`);
  using writer = new SelectionWriter(selectionPath);
  const selected = new SelectedItems(request, writer);
  using selector = new Selector(request, options, selected);
  for (const [number, source] of request.sources.entries()) selector.select(source, number);
  writer.finish();
  return { ...selected.result(), selectionPath, request };
}

/** One item in the making. */
interface Walk {
  readonly tree: SourceTree;
  readonly exclude: IgnoreMatcher | undefined;
  /** `--parents`: what is copied of the tree; all of it when absent. */
  readonly include: IgnoreMatcher | undefined;
  /** By inode: the first path of a file with several names. */
  readonly names: Map<string, RootfsPath>;
  /** Directories on the way that are written when something in them is. */
  readonly pending: SourceNode[];
  /** Where the walk began in the tree. */
  readonly root: RootfsPath;
}

class Selector implements Disposable {
  readonly #request: SelectCopyRequest;
  readonly #options: SelectOptions;
  readonly #selected: SelectedItems;
  readonly #digests: FileDigests | undefined;
  readonly #exclude: IgnoreMatcher | undefined;
  /** Sources of one COPY mostly share their tree. */
  readonly #trees = new Map<CopyTree, SourceTree>();
  #readBytes = 0;

  constructor(request: SelectCopyRequest, options: SelectOptions, selected: SelectedItems) {
    this.#request = request;
    this.#options = options;
    this.#selected = selected;
    const { exclude = [], fileDigestsPath } = request;
    this.#digests = fileDigestsPath === undefined ? undefined : openFileDigests(fileDigestsPath);
    this.#exclude = exclude.length === 0 ? undefined : options.makeIgnoreMatcher(exclude);
  }

  select(source: CopyRequestSource, number: number): void {
    try {
      this.#selectSource(source, number);
    } catch (error) {
      throw source.kind === "path" ? explainOutside(error, source) : error;
    }
  }

  #selectSource(source: CopyRequestSource, number: number): void {
    switch (source.kind) {
      case "inline":
        this.#selectInline(source, number);
        break;
      case "file":
        this.#selectFile(source, number);
        break;
      case "path":
        if (this.#request.parents) this.#selectParents(source, number);
        else this.#selectPath(source, number);
        break;
    }
  }

  [Symbol.dispose](): void {
    this.#digests?.[Symbol.dispose]();
    for (const tree of this.#trees.values()) tree[Symbol.dispose]();
  }

  #tree(tree: CopyTree): SourceTree {
    let open = this.#trees.get(tree);
    if (open === undefined) {
      open = openSourceTree(tree, this.#options.makeIgnoreMatcher, {
        digests: this.#digests,
        onLook: this.#options.onLook,
        onRead: this.#options.onRead,
      });
      this.#trees.set(tree, open);
    }
    return open;
  }

  #selectInline(source: CopyRequestSource & { kind: "inline" }, number: number): void {
    const content = Buffer.from(source.content, "utf8");
    const name = bytesFromText(source.name);
    const entry = { ...REGULAR_FILE, mode: 0o644, size: content.length };
    this.#selected.addItem({ source: number, kind: "leaf", name, mtime: 0 }, () => {
      const contentHash = createHash("sha256").update(content).digest();
      this.#selected.add({ entry: this.#selected.adjust({ ...entry, contentHash }) }, ROOT, { name });
    });
  }

  #selectFile(source: CopyRequestSource & { kind: "file" }, number: number): void {
    const path = bytesFromText(baseName(source.filePath)) as RootfsPath;
    const tree = this.#tree({ kind: "directory", directory: dirname(source.filePath), ignorePatterns: [] });
    const node = tree.lookup(path);
    if (node?.entry.type !== "file") throw new Error(`"${source.filePath}" is no file`);
    const { size } = node.entry;
    const entry = { ...REGULAR_FILE, mode: source.mode, mtime: source.mtime, size };
    const name = bytesFromText(source.name);
    const mayUnpack = this.#request.unpack === true;
    this.#selected.addItem({ source: number, kind: "leaf", name, mtime: source.mtime, mayUnpack }, () => {
      const contentHash = this.#contentHash(tree, node);
      this.#selected.add({ entry: this.#selected.adjust({ ...entry, contentHash }) }, path, { name });
    });
  }

  #selectPath(source: CopyRequestSource & { kind: "path" }, number: number): void {
    const tree = this.#tree(source.tree);
    for (const found of findSources(tree, source.path, this.#request.verb)) {
      // A match of a wildcard is left out by its name; what is named is not.
      if (found.isMatch && this.#exclude?.excludes(textFromBytes(found.name))) continue;
      this.#selectFound({ ...found, tree, number, include: undefined });
    }
  }

  /** `--parents`: what follows the pivot (`/./`), or the root, is copied with the directories that lead to it. */
  #selectParents(source: CopyRequestSource & { kind: "path" }, number: number): void {
    const tree = this.#tree(source.tree);
    const pivot = source.path.indexOf("/./");
    const prefix = pivot < 0 ? "/" : source.path.slice(0, pivot);
    const pattern = cleanPath(bytesFromText(pivot < 0 ? source.path : source.path.slice(pivot + 2)));
    for (const found of findSources(tree, prefix, this.#request.verb)) {
      if (pattern === ROOT || found.node.entry.type !== "directory") {
        this.#selectFound({ ...found, tree, number, include: undefined });
        continue;
      }
      if (!hasWildcard(pattern) && !hasWildcard(prefix)) {
        const path = joinPath(found.path, pattern);
        if (resolvePath((at) => tree.lookup(at), path, false).entry === undefined)
          throw missing(tree, path, this.#request.verb ?? "copy");
      }
      const include = this.#options.makeIgnoreMatcher([textFromBytes(pattern)]);
      this.#selectFound({ ...found, tree, number, include });
    }
  }

  #selectFound({
    tree,
    number,
    include,
    ...found
  }: FoundSource & { tree: SourceTree; number: number; include: IgnoreMatcher | undefined }): void {
    const { node, path, name } = found;
    const isDirectory = node.entry.type === "directory";
    const { unpack = false } = this.#request;
    const mayUnpack = unpack !== false && node.entry.type === "file";
    const kind = isDirectory ? "directory" : "leaf";
    const item = { source: number, kind, name, mtime: node.entry.mtime, mayUnpack } as const;
    this.#selected.addItem(item, () => {
      const walk: Walk = { tree, include, exclude: this.#exclude, names: new Map(), pending: [], root: path };
      if (isDirectory) this.#walkDirectory(walk, path);
      else this.#addNode(walk, node, { name });
    });
  }

  #walkDirectory(walk: Walk, directory: RootfsPath): void {
    for (const node of walk.tree.list(directory)) {
      this.#options.throwIfAborted?.();
      const text = textFromBytes(relative(node.entry.path, walk.root));
      const isExcluded = walk.exclude?.excludes(text) ?? false;
      const isIncluded = !isExcluded && (walk.include?.excludes(text) ?? true);
      if (isIncluded) this.#addNode(walk, node, {});
      if (node.entry.type !== "directory") continue;
      if (isExcluded && walk.exclude!.canSkipDirectory(text)) continue;
      if (isIncluded) {
        this.#walkDirectory(walk, node.entry.path);
      } else {
        const { length } = walk.pending;
        walk.pending.push(node);
        this.#walkDirectory(walk, node.entry.path);
        walk.pending.length = Math.min(length, walk.pending.length);
      }
    }
  }

  #addNode(walk: Walk, node: SourceNode, { name }: { name?: string }): void {
    for (const parent of walk.pending.splice(0)) this.#addOne(walk, parent, { role: "parent" });
    this.#addOne(walk, node, { role: "copied", name });
  }

  #addOne(walk: Walk, node: SourceNode, { role, name }: { role: EntryRole; name?: string }): void {
    const { tree, names, root } = walk;
    const isFile = node.entry.type === "file";
    const contentHash = isFile ? this.#contentHash(tree, node) : undefined;
    const path = name === undefined ? relative(node.entry.path, root) : ROOT;
    const { dataOffset, hardLinkOf: _, ...entry } = this.#selected.adjust(node.entry);
    const written: Entry = {
      ...entry,
      path,
      ...(contentHash === undefined ? {} : { contentHash }),
      ...(dataOffset === undefined ? {} : { dataOffset }),
    };
    let first: RootfsPath | undefined;
    if (isFile && node.inode !== undefined) {
      first = names.get(node.inode);
      if (first === undefined) names.set(node.inode, path);
    }
    const selected = { ...node, entry: written };
    this.#selected.add(selected, node.dataPath ?? node.entry.path, { role, name, hardLinkOf: first });
  }

  /** Kept for the next build, for which the file is mostly as it was. */
  #contentHash(tree: SourceTree, node: SourceNode): Uint8Array {
    if (node.entry.contentHash !== undefined) return node.entry.contentHash;
    const hash = this.#hashContent(tree, node);
    if (node.stamp !== undefined)
      this.#digests?.keep(node.stamp, { hash, hasXattrs: node.entry.xattrs !== undefined });
    return hash;
  }

  #hashContent(tree: SourceTree, node: SourceNode): Uint8Array {
    const hash = new ContentHash(node.entry.size);
    for (const chunk of tree.read(node)) {
      hash.update(chunk);
      this.#readBytes += chunk.length;
      this.#options.onProgress?.(this.#readBytes);
      this.#options.throwIfAborted?.();
    }
    return hash.digest();
  }
}

/** A `..` that would have led out of the tree is the likely reason for what is missing. */
function explainOutside(
  error: unknown,
  { outside, path }: { readonly outside?: string; readonly path: string },
) {
  if (outside === undefined || !(error instanceof BuildError) || error.code !== "copy-source-missing")
    return error;
  return new BuildError(error.code, `Cannot copy "${outside}": it lies outside of what is copied from`, {
    hint: `It was looked for as "${path}". Build with a context that holds it, or name its directory: --build-context NAME=DIR and COPY --from=NAME`,
    cause: error,
  });
}

const REGULAR_FILE: Entry = {
  path: ROOT,
  type: "file",
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
  mtimeNs: 0,
};

function relative(path: RootfsPath, root: RootfsPath): RootfsPath {
  return (root === ROOT ? path : path.slice(root.length + 1)) as RootfsPath;
}
