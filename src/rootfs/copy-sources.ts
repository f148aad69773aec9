import { dirname } from "node:path";
import type { CopyRequestSource, CopyTree, SelectCopyRequest, SelectedItem } from "./copy-request.ts";
import type { MakeIgnoreMatcher } from "./ignore-matcher.ts";
import type { Layer } from "./layer.ts";
import type { SelectedEntry } from "./selection-file.ts";
import { openSourceTree, type SourceTree } from "./source-tree.ts";

/** The trees that the items' bytes come from, opened when they are needed. */
export class CopySources implements Disposable {
  readonly #request: SelectCopyRequest;
  readonly #makeIgnoreMatcher: MakeIgnoreMatcher;
  readonly #trees = new Map<CopyTree | CopyRequestSource, SourceTree>();
  readonly #archives: SourceTree[] = [];

  constructor(request: SelectCopyRequest, makeIgnoreMatcher: MakeIgnoreMatcher) {
    this.#request = request;
    this.#makeIgnoreMatcher = makeIgnoreMatcher;
  }

  /** The number that members of the archive have as their layer. */
  addArchive(layer: Layer): number {
    this.#archives.push(openSourceTree({ kind: "layers", layers: [layer] }, this.#makeIgnoreMatcher));
    return this.#archives.length - 1;
  }

  /** Whether a selected file is of a layer, which never changes: its hash, where it has one, is that of its bytes. */
  isStored(item: SelectedItem, { role }: SelectedEntry): boolean {
    const source = this.#request.sources[item.source]!;
    return role !== "unpacked" && source.kind === "path" && source.tree.kind === "layers";
  }

  /** The bytes of a selected file. */
  read(item: SelectedItem, { entry, role, layer, dataPath }: SelectedEntry): Iterable<Uint8Array> {
    if (role === "unpacked") return this.#archives[layer!]!.read({ entry, layer: 0 });
    const source = this.#request.sources[item.source]!;
    if (source.kind === "inline") return [Buffer.from(source.content, "utf8")];
    const tree = source.kind === "file" ? directoryOf(source.filePath) : source.tree;
    return this.#open(source.kind === "file" ? source : source.tree, tree).read({ entry, dataPath, layer });
  }

  [Symbol.dispose](): void {
    for (const tree of [...this.#archives, ...this.#trees.values()]) tree[Symbol.dispose]();
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
