import { join } from "node:path";
import type { SelectedItem } from "./copy-request.ts";
import type { RootfsPath } from "./entry.ts";
import { RecordSorter, type Sequenced } from "./record-sorter.ts";
import type { Owner } from "./resolve-owner.ts";
import { type SelectedEntry, SelectionReader, SelectionWriter } from "./selection-file.ts";

/** What items of a COPY put at one path, in the order in which they came. */
export interface PlacedGroup {
  readonly kind: "placed";
  readonly path: RootfsPath;
  readonly group: readonly Sequenced[];
}

/** Everything that was given a place, sorted by it; bytes and metadata stay where they are. */
export class PlacedEntries implements Disposable {
  readonly selection: SelectionReader;
  readonly #owner: Owner | undefined;
  readonly #sorter: RecordSorter;
  /** Members of archives: they are in no selection file. */
  readonly #membersPath: string;
  readonly #members: SelectionWriter;
  #memberReader: SelectionReader | undefined;
  readonly #starts: { readonly sequence: number; readonly item: SelectedItem }[] = [];

  /** `owner`: of everything that was selected, in place of its own. */
  constructor(workDirectory: string, selectionPath: string, owner: Owner | undefined) {
    this.#owner = owner;
    this.selection = new SelectionReader(selectionPath);
    this.#sorter = new RecordSorter(join(workDirectory, "sort"));
    this.#membersPath = join(workDirectory, "members");
    this.#members = new SelectionWriter(this.#membersPath);
  }

  /** What is added from now on is the item's. */
  startItem(item: SelectedItem): void {
    this.#starts.push({ sequence: this.#sorter.count, item });
  }

  addSelected(path: RootfsPath, offset: number): void {
    this.#sorter.add({ ...PLACE, path, dataOffset: offset });
  }

  addMember(path: RootfsPath, selected: SelectedEntry): void {
    this.#sorter.add({ ...PLACE, path, dataOffset: this.#members.offset, implicit: true });
    this.#members.add(selected);
  }

  *groups(): Generator<PlacedGroup> {
    this.#members.finish();
    let group: Sequenced[] = [];
    for (const next of this.#sorter.sorted()) {
      const path = group[0]?.entry.path;
      if (path !== undefined && path !== next.entry.path) {
        yield { kind: "placed", path, group };
        group = [];
      }
      group.push(next);
    }
    if (group.length > 0) yield { kind: "placed", path: group[0]!.entry.path, group };
  }

  read({ entry, sequence }: Sequenced): { readonly selected: SelectedEntry; readonly item: SelectedItem } {
    const item = this.#itemOf(sequence);
    if (entry.implicit) {
      this.#memberReader ??= new SelectionReader(this.#membersPath);
      return { selected: this.#memberReader.read(entry.dataOffset!).selected, item };
    }
    const { selected } = this.selection.read(entry.dataOffset!);
    if (this.#owner === undefined) return { selected, item };
    return { selected: { ...selected, entry: { ...selected.entry, ...this.#owner } }, item };
  }

  [Symbol.dispose](): void {
    this.selection[Symbol.dispose]();
    this.#sorter[Symbol.dispose]();
    this.#members[Symbol.dispose]();
    this.#memberReader?.[Symbol.dispose]();
  }

  #itemOf(sequence: number): SelectedItem {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]!.sequence <= sequence) low = middle + 1;
      else high = middle;
    }
    return this.#starts[low - 1]!.item;
  }
}

/**
 * What is sorted is a path and, as its data offset, where the record stands: in the file of members when it is `implicit`,
 * else in the selection file.
 */
const PLACE = { type: "file", mode: 0, uid: 0, gid: 0, size: 0, mtime: 0, mtimeNs: 0 } as const;
