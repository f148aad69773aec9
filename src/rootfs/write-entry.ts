import { checkPathLength } from "./check-path-length.ts";
import { ContentHash } from "./content-hash.ts";
import type { Entry } from "./entry.ts";
import { membersOf } from "./entry-member.ts";
import type { LayerWriter } from "./layer-writer.ts";
import { tarPadding } from "./tar-header.ts";
import { encodeTarMember, TAR_END } from "./tar-writer.ts";

const ZEROS = Buffer.alloc(512);

/**
 * Appends an entry to a layer's tar and to its index; `content` has the bytes of a regular file, `entry.size` of them, and
 * is not read for the later ones of a hard link group. `isVouchedFor`: they are those of `entry.contentHash`, and nobody hashes them again.
 * @throws Error when there are more or fewer bytes, or when they are not those of `entry.contentHash`.
 */
export function writeEntry(
  writer: LayerWriter,
  entry: Entry,
  content: Iterable<Uint8Array> = [],
  { isVouchedFor = false }: { readonly isVouchedFor?: boolean } = {},
): void {
  checkPathLength(entry.path);
  for (const member of membersOf(entry)) writer.write(encodeTarMember(member));
  const isLink = entry.hardLinkOf !== undefined && entry.hardLinkOf !== entry.path;
  const { dataOffset: _, sparse: __, contentHash: expected, ...rest } = entry;
  if (entry.type !== "file" || isLink) {
    writer.add({ ...rest, mtimeNs: 0, ...(isLink ? { size: 0 } : {}) });
    return;
  }
  const dataOffset = writer.offset;
  const hash = isVouchedFor && expected !== undefined ? undefined : new ContentHash(entry.size);
  let size = 0;
  for (const chunk of content) {
    size += chunk.length;
    if (size > entry.size) break;
    hash?.update(chunk);
    writer.write(chunk);
  }
  if (size !== entry.size)
    throw new ContentChanged(`"${entry.path}" has another size than ${entry.size} bytes`);
  const contentHash = hash === undefined ? expected! : hash.digest();
  if (expected !== undefined && Buffer.compare(contentHash, expected) !== 0) throw new ContentChanged();
  writer.write(ZEROS.subarray(0, tarPadding(size)));
  writer.add({ ...rest, mtimeNs: 0, dataOffset, contentHash });
}

/** The bytes are not those that were hashed before. */
export class ContentChanged extends Error {}

export function writeTarEnd(writer: LayerWriter): void {
  writer.write(TAR_END);
}
