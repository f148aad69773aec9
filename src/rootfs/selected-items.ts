import { BuildError } from "../errors/build-error.ts";
import { addEntry, CanonicalHash } from "./canonical-hash.ts";
import type { CopySelection, SelectCopyRequest, SelectedItem } from "./copy-request.ts";
import type { Entry, RootfsPath } from "./entry.ts";
import { WHITEOUT_PREFIX } from "./member-entry.ts";
import { type ModeChange, parseModeChange } from "./parse-mode-change.ts";
import { baseName, pathToText, ROOT } from "./rootfs-path.ts";
import type { EntryRole, SelectionWriter } from "./selection-file.ts";
import type { SourceNode } from "./source-tree.ts";

/** What a COPY selects, as it will be written: goes to the selection file and into the content digest. */
export class SelectedItems {
  readonly #writer: SelectionWriter;
  readonly #verb: string;
  readonly #hash = new CanonicalHash();
  /** `--chown` gives them all another: whose they are does not count, and the writer knows who that is. */
  readonly #changesOwner: boolean;
  readonly #changeMode: ModeChange | undefined;
  readonly #items: SelectedItem[] = [];
  #entryCount = 0;
  #totalBytes = 0;

  /** @throws BuildError `option-invalid` for a mode that is none. */
  constructor({ chown, chmod, verb = "copy" }: SelectCopyRequest, writer: SelectionWriter) {
    this.#writer = writer;
    this.#verb = verb;
    this.#changesOwner = chown !== undefined && chown !== "";
    this.#changeMode = chmod === undefined || chmod === "" ? undefined : parseModeChange(chmod);
  }

  /** An item, of what is added while `addEntries` runs. */
  addItem(item: Omit<SelectedItem, "start" | "end">, addEntries: () => void): void {
    const start = this.#writer.offset;
    this.#hash.add("item").add(item.kind);
    addEntries();
    this.#items.push({ ...item, start, end: this.#writer.offset });
  }

  /** An entry as it will be written: `adjust` made it. @throws BuildError `copy-failed` for a name that means a deletion. */
  add(
    node: SourceNode,
    dataPath: RootfsPath,
    {
      role = "copied",
      name,
      hardLinkOf = ROOT,
    }: { role?: EntryRole; name?: string; hardLinkOf?: RootfsPath },
  ): void {
    const { entry, layer, inode } = node;
    if ((name ?? baseName(entry.path)).startsWith(WHITEOUT_PREFIX)) {
      throw new BuildError(
        "copy-failed",
        `Cannot ${this.#verb} "${pathToText(dataPath)}": in a layer a name that begins with ".wh." means a deletion`,
      );
    }
    this.#hash.add(name ?? "").add(role);
    addEntry(this.#hash, entry, hardLinkOf === ROOT ? "" : hardLinkOf);
    this.#writer.add({
      entry,
      role,
      dataPath,
      ...(layer === undefined ? {} : { layer }),
      ...(inode === undefined ? {} : { inode }),
    });
    this.#entryCount++;
    this.#totalBytes += entry.size;
  }

  /** Mode as it will be written; owner, too, unless it will be another. */
  adjust(entry: Entry): Entry {
    const { uid, gid } = this.#changesOwner ? { uid: 0, gid: 0 } : entry;
    const mode =
      entry.type === "symlink" || this.#changeMode === undefined
        ? entry.mode
        : this.#changeMode(entry.mode, entry.type === "directory");
    return { ...entry, uid, gid, mode };
  }

  /** To be asked for at the end. */
  result(): Pick<CopySelection, "contentDigest" | "entryCount" | "totalBytes" | "items"> {
    return {
      contentDigest: this.#hash.digest(),
      entryCount: this.#entryCount,
      totalBytes: this.#totalBytes,
      items: this.#items,
    };
  }
}
