import type { Entry, RootfsPath } from "./entry.ts";
import { type IndexReader, openIndex } from "./index-reader.ts";
import type { Layer } from "./layer.ts";
import { implicitDirectory } from "./layer-entries.ts";
import { baseName, comparePaths, isWithin, joinPath, parentPath, pathBelow, ROOT } from "./rootfs-path.ts";

/** What a layer has below `from` is seen below `to`; with `movesItself`, what it has at `from` is seen at `to`. */
export interface Redirect {
  readonly from: RootfsPath;
  readonly to: RootfsPath;
  /** False for a symlink of the layer itself: that stays where it is. */
  readonly movesItself: boolean;
}

/**
 * A layer's index as the layers below make it look: entries under a directory that the layer does not list, where a lower
 * layer has a symlink, lie where the symlink leads (docker follows it when it applies the layer's tar: `lib/x` over
 * `lib -> usr/lib` is `usr/lib/x`). Almost every view has no redirects and is its index. Disposing it closes the index.
 */
export class LayerView implements Disposable {
  readonly layer: Layer;
  readonly index: IndexReader;
  #redirects: Redirect[] = [];

  constructor(layer: Layer) {
    this.layer = layer;
    this.index = openIndex(layer.indexPath);
  }

  get hasRedirects(): boolean {
    return this.#redirects.length > 0;
  }

  /** Must come in the order of the index, so that outer ones are known first. */
  addRedirect(redirect: Redirect): void {
    this.#redirects.push(redirect);
  }

  /** Where a path of the layer is seen. */
  seenAt(path: RootfsPath): RootfsPath {
    const redirect = this.#redirectOf(path);
    return redirect === undefined ? path : joinPath(redirect.to, pathBelow(path, redirect.from));
  }

  lookup(path: RootfsPath): Entry | undefined {
    if (this.#redirects.length === 0) return this.index.lookup(path);
    let found: Entry | undefined;
    for (const source of this.#sourcesOf(path)) {
      const entry = this.index.lookup(source);
      if (entry !== undefined && (found === undefined || found.implicit)) found = { ...entry, path };
    }
    if (found === undefined && this.#redirects.some(({ to }) => isWithin(to, path)))
      return implicitDirectory(path);
    return found;
  }

  /** Direct children in byte order. */
  list(directory: RootfsPath): Iterable<Entry> {
    if (this.#redirects.length === 0) return this.index.list(directory);
    return this.#listRedirected(directory);
  }

  [Symbol.dispose](): void {
    this.index[Symbol.dispose]();
  }

  /** Redirects are rare and their directories small enough to sort. */
  #listRedirected(directory: RootfsPath): Entry[] {
    const names = new Set<string>();
    const linksTo = this.#redirects.filter(({ to, movesItself }) => to === directory && !movesItself);
    for (const source of [...this.#sourcesOf(directory), ...linksTo.map(({ from }) => from)]) {
      for (const entry of this.index.list(source)) names.add(baseName(entry.path));
    }
    for (const { to } of this.#redirects) {
      for (let path = to; path !== ROOT; path = parentPath(path)) {
        if (parentPath(path) === directory) names.add(baseName(path));
      }
    }
    return [...names]
      .map((name) => joinPath(directory, name))
      .sort(comparePaths)
      .map((path) => this.lookup(path))
      .filter((entry) => entry !== undefined);
  }

  /** The innermost redirect that moves a path. */
  #redirectOf(path: RootfsPath): Redirect | undefined {
    return this.#redirects.findLast(
      ({ from, movesItself }) => isWithin(path, from) && (movesItself || path !== from),
    );
  }

  /** The paths of the index that are seen at a path. */
  #sourcesOf(path: RootfsPath): RootfsPath[] {
    const sources: RootfsPath[] = this.#redirectOf(path) === undefined ? [path] : [];
    for (const redirect of this.#redirects) {
      if (!isWithin(path, redirect.to)) continue;
      const source = joinPath(redirect.from, pathBelow(path, redirect.to));
      if (this.#redirectOf(source) === redirect) sources.push(source);
    }
    return sources;
  }
}

/** Everything that a view has, implicit directories too, in the order of an index. */
export function* walkView(view: LayerView): Generator<Entry> {
  if (!view.hasRedirects) {
    yield* view.index.scan(ROOT);
    return;
  }
  function* walk(directory: RootfsPath): Generator<Entry> {
    for (const entry of view.list(directory)) {
      yield entry;
      if (entry.type === "directory") yield* walk(entry.path);
    }
  }
  yield view.lookup(ROOT)!;
  yield* walk(ROOT);
}
