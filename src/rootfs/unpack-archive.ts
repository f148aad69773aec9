import { BuildError } from "../errors/build-error.ts";
import {
  DEFAULT_LIMITS,
  type InputLimits,
  type LimitName,
  makeExpansionCheck,
  makeLimitError,
} from "../errors/input-limits.ts";
import { ContentHash } from "./content-hash.ts";
import type { Entry } from "./entry.ts";
import { detectArchiveCompression, inflateArchive } from "./inflate-archive.ts";
import type { Layer } from "./layer.ts";
import { LayerWriter } from "./layer-writer.ts";
import { memberEntry, WHITEOUT_PREFIX } from "./member-entry.ts";
import { cleanPath, ROOT, textFromBytes } from "./rootfs-path.ts";
import { isZeroBlock, parseTarHeader, TAR_BLOCK, tarPadding } from "./tar-header.ts";
import type { TarMember } from "./tar-member.ts";
import { type TarHandler, TarReader } from "./tar-reader.ts";
import { encodeTarMember } from "./tar-writer.ts";

const ZEROS = Buffer.alloc(TAR_BLOCK);

export interface UnpackRequest {
  /** Reads the archive; called twice, the first time for its beginning. */
  readonly open: () => Iterable<Uint8Array>;
  /** In bytes, of the archive as it is. */
  readonly size: number;
  readonly layersDirectory: string;
  /** What it may have when it is unpacked, besides what its size explains. */
  readonly sizeLimit?: LimitName;
  /** `DEFAULT_LIMITS` when absent. */
  readonly limits?: InputLimits;
}

/**
 * Makes a layer of a tar archive (plain, gzip, zstd, bzip2, xz: told by content) for ADD; undefined when the file is none.
 * Members that lead out of the archive are clamped to it, as docker does; the root's own member says nothing.
 * @throws BuildError `copy-failed` for a broken archive and for names that would be whiteouts; `input-limit`.
 */
export async function unpackArchive({ open, ...request }: UnpackRequest): Promise<Layer | undefined> {
  if (!(await beginsAsTar(open()))) return undefined;
  const { limits = DEFAULT_LIMITS } = request;
  using writer = new LayerWriter(request.layersDirectory, { limit: { name: "archive-entries", limits } });
  const checkSize = makeSizeCheck(request, limits);
  const reader = new TarReader(new MemberCollector(writer, checkSize), { limits });
  let plainBytes = 0;
  try {
    await inflateArchive(open(), (chunk) => {
      plainBytes += chunk.length;
      checkSize(plainBytes);
      reader.write(chunk);
    });
    reader.end();
  } catch (error) {
    throw nameArchive(error);
  }
  return writer.finish().layer;
}

/** Refuses what grows beyond its limits as it is unpacked. */
function makeSizeCheck({ size, sizeLimit }: Omit<UnpackRequest, "open">, limits: InputLimits) {
  const what = "Cannot read the archive: unpacked it is larger";
  const checkExpansion = makeExpansionCheck(size, { what, limits });
  return (plainBytes: number) => {
    if (sizeLimit !== undefined && plainBytes > limits[sizeLimit])
      throw makeLimitError(sizeLimit, what, limits);
    checkExpansion(plainBytes);
  };
}

class SeenEnough extends Error {}

/** Whether the first block that comes out is a tar header. What cannot be inflated that far is a file like any other. */
async function beginsAsTar(chunks: Iterable<Uint8Array>): Promise<boolean> {
  let head = Buffer.alloc(0);
  try {
    await inflateArchive(cutBeginning(chunks), (chunk) => {
      head = Buffer.concat([head, chunk]);
      if (head.length >= TAR_BLOCK) throw new SeenEnough();
    });
  } catch (error) {
    if (!(error instanceof SeenEnough || error instanceof BuildError)) throw error;
  }
  return head.length >= TAR_BLOCK && isTarHeader(head.subarray(0, TAR_BLOCK));
}

/** A block of bzip2, the largest thing from which nothing comes out before it is whole, is smaller. */
const BEGINNING_BYTES = 3 << 20;

/** In small pieces at first: decoders keep back what they have when a piece ends in something that is broken. */
function* cutBeginning(chunks: Iterable<Uint8Array>): Generator<Uint8Array> {
  let done = 0;
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      const piece = chunk.subarray(at, at + (done < 65_536 ? 16 : 65_536));
      yield piece;
      at += piece.length;
      done += piece.length;
      if (done >= BEGINNING_BYTES) return;
    }
  }
}

/** Bytes that `mayBeArchive` needs, fewer only at the end. */
export const ARCHIVE_HEAD_SIZE = TAR_BLOCK;

/** Whether a file that begins so is a tar archive, or compressed and perhaps one. */
export function mayBeArchive(head: Buffer): boolean {
  if (detectArchiveCompression(head) !== "uncompressed") return true;
  return head.length >= TAR_BLOCK && isTarHeader(head.subarray(0, TAR_BLOCK));
}

function isTarHeader(block: Buffer): boolean {
  if (isZeroBlock(block)) return false;
  try {
    parseTarHeader(block);
    return true;
  } catch {
    return false;
  }
}

class MemberCollector implements TarHandler {
  readonly #writer: LayerWriter;
  readonly #checkSize: (plainBytes: number) => void;
  #entry: Entry | undefined;
  #hash: ContentHash | undefined;
  #padding = 0;

  constructor(writer: LayerWriter, checkSize: (plainBytes: number) => void) {
    this.#writer = writer;
    this.#checkSize = checkSize;
  }

  member(member: TarMember): void {
    const path = cleanPath(member.name);
    if (path.split("/").some((part) => part.startsWith(WHITEOUT_PREFIX))) {
      throw new BuildError(
        "copy-failed",
        `Cannot unpack "${textFromBytes(path)}": in a layer a name that begins with ".wh." means a deletion`,
      );
    }
    this.#hash = undefined;
    this.#entry = undefined;
    if (path === ROOT) return;
    const linkName = member.type === "hardlink" ? cleanPath(member.linkName) : member.linkName;
    // Written anew: the bytes of a sparse file do not stand in the archive as they are.
    this.#writer.write(encodeTarMember(member));
    this.#padding = tarPadding(member.size);
    this.#entry = memberEntry({ ...member, linkName }, path, this.#writer.offset);
    if (this.#entry.dataOffset !== undefined) this.#hash = new ContentHash(this.#entry.size);
  }

  content(chunk: Uint8Array): void {
    this.#hash?.update(chunk);
    if (this.#entry === undefined) return;
    // Holes of a sparse file are in no archive's size.
    this.#checkSize(this.#writer.offset + chunk.length);
    this.#writer.write(chunk);
  }

  memberEnd(): void {
    if (this.#entry === undefined) return;
    this.#writer.write(ZEROS.subarray(0, this.#padding));
    const contentHash = this.#hash?.digest();
    this.#writer.add(contentHash === undefined ? this.#entry : { ...this.#entry, contentHash });
  }
}

/** A broken archive is the user's file, not an image. */
function nameArchive(error: unknown): unknown {
  if (!(error instanceof BuildError) || error.code !== "image-invalid") return error;
  return new BuildError("copy-failed", error.message, { hint: error.hint, cause: error.cause });
}
