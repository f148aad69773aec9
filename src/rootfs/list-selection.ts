import { compressBlock } from "./compress-block.ts";
import { pathToText, textFromBytes } from "./rootfs-path.ts";
import type { PlainSelection } from "./select-copy.ts";
import { SelectionReader } from "./selection-file.ts";

/** More than a context has; what comes after is left out. */
const ENTRY_LIMIT = 200_000;
const HASH_BYTES = 9;
/** In bytes: how much of the list is compressed at a time. */
const BLOCK_SIZE = 256 << 10;

/**
 * One file of a COPY, in a list that is kept beside its key: path, `type mode uid:gid`, and what it holds (the beginning of its
 * SHA-256, a link's target).
 */
export type ListedFile = readonly [path: string, meta: string, content: string];

/** What a COPY selected, for whoever asks later what changed: lines of JSON (`ListedFile`), compressed (raw deflate). */
export function listSelection({
  selectionPath,
  items,
  request,
}: Pick<PlainSelection, "selectionPath" | "items" | "request">): Uint8Array {
  const blocks: Uint8Array[] = [];
  // Bytes, not strings: those would outlive the young generation.
  const block = Buffer.alloc(BLOCK_SIZE);
  let fill = 0;
  let count = 0;
  const compress = (bytes: Uint8Array, isLast = false) => {
    if (bytes.length > 0 || isLast)
      blocks.push(compressBlock({ format: "gzip", block: bytes, level: 6, isLast }));
  };
  const add = (line: string) => {
    // No character takes more than three bytes.
    const size = 3 * line.length;
    if (fill + size > BLOCK_SIZE) {
      compress(block.subarray(0, fill));
      fill = 0;
    }
    if (size > BLOCK_SIZE) compress(Buffer.from(line));
    else fill += block.write(line, fill);
  };
  using reader = new SelectionReader(selectionPath);
  for (const item of items) {
    const source = request.sources[item.source]!;
    const root =
      source.kind === "path" && item.kind === "directory" ? source.path.replace(/^\/|\/$/g, "") : "";
    for (let at = item.start; at < item.end && count < ENTRY_LIMIT; ) {
      const { selected, next } = reader.read(at);
      const { entry } = selected;
      const below = pathToText(entry.path).slice(1);
      const path =
        item.kind === "leaf" ? textFromBytes(item.name) : `${root}${root && below ? "/" : ""}${below}`;
      const content =
        entry.linkTarget ??
        (entry.contentHash ? Buffer.from(entry.contentHash).toString("base64url", 0, HASH_BYTES) : "");
      const xattrs = entry.xattrs === undefined ? "" : ` ${Object.keys(entry.xattrs).sort().join(",")}`;
      const meta = `${entry.type} ${entry.mode.toString(8).padStart(4, "0")} ${entry.uid}:${entry.gid}${xattrs}`;
      add(`${count++ === 0 ? "" : "\n"}${JSON.stringify([path, meta, content] satisfies ListedFile)}`);
      at = next;
    }
  }
  compress(block.subarray(0, fill), true);
  return Buffer.concat(blocks);
}
