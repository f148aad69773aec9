import { createHash, type Hash } from "node:crypto";
import { BuildError } from "../errors/build-error.ts";
import type { Entry } from "./entry.ts";
import { detectArchiveCompression, inflateArchive } from "./inflate-archive.ts";
import type { Layer } from "./layer.ts";
import { LayerWriter } from "./layer-writer.ts";
import { memberEntry, WHITEOUT_PREFIX } from "./member-entry.ts";
import { cleanPath, ROOT, textFromBytes } from "./rootfs-path.ts";
import { isZeroBlock, parseTarHeader, TAR_BLOCK, tarPadding } from "./tar-header.ts";
import { type TarHandler, type TarMember, TarReader } from "./tar-reader.ts";
import { encodeTarMember } from "./tar-writer.ts";

const ZEROS = Buffer.alloc(TAR_BLOCK);

/**
 * Makes a layer of a tar archive (plain, gzip, zstd, bzip2, xz: told by content) for ADD; undefined when the file is none.
 * Members that lead out of the archive are clamped to it, as docker does; the root's own member says nothing.
 * @throws BuildError `copy-failed` for a broken archive and for names that would be whiteouts.
 */
export async function unpackArchive(
  chunks: Iterable<Uint8Array>,
  layersDirectory: string,
): Promise<Layer | undefined> {
  const iterator = chunks[Symbol.iterator]();
  const first = iterator.next();
  if (first.done) return undefined;
  // The source may use its buffer again; the head is needed only here.
  const compression = detectArchiveCompression(first.value);
  using writer = new LayerWriter(layersDirectory);
  const sniffer = new Sniffer(writer);
  try {
    await inflateArchive(withFirst(first.value, iterator), compression, (chunk) => sniffer.write(chunk));
    sniffer.end();
  } catch (error) {
    if (error instanceof NotAnArchive) return undefined;
    // What cannot be inflated from its start is a file like any other.
    if (!sniffer.isArchive && error instanceof BuildError) return undefined;
    throw nameArchive(error);
  } finally {
    iterator.return?.();
  }
  if (!sniffer.isArchive) return undefined;
  return writer.finish().layer;
}

class NotAnArchive extends Error {}

/** Gives the bytes to a tar reader once the first block is a tar header. */
class Sniffer {
  readonly #reader: TarReader;
  #head = Buffer.alloc(0);
  isArchive = false;

  constructor(writer: LayerWriter) {
    this.#reader = new TarReader(new MemberCollector(writer), { expandSparse: true });
  }

  write(chunk: Uint8Array): void {
    if (this.isArchive) {
      this.#take(chunk);
      return;
    }
    this.#head = Buffer.concat([this.#head, chunk]);
    if (this.#head.length < TAR_BLOCK) return;
    if (!isTarHeader(this.#head.subarray(0, TAR_BLOCK))) throw new NotAnArchive();
    this.isArchive = true;
    this.#take(this.#head);
  }

  end(): void {
    if (this.isArchive) this.#reader.end();
  }

  #take(chunk: Uint8Array): void {
    this.#reader.write(chunk);
  }
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
  #entry: Entry | undefined;
  #hash: Hash | undefined;
  #padding = 0;

  constructor(writer: LayerWriter) {
    this.#writer = writer;
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
    if (this.#entry.dataOffset !== undefined) this.#hash = createHash("sha256");
  }

  content(chunk: Uint8Array): void {
    this.#hash?.update(chunk);
    if (this.#entry !== undefined) this.#writer.write(chunk);
  }

  memberEnd(): void {
    if (this.#entry === undefined) return;
    this.#writer.write(ZEROS.subarray(0, this.#padding));
    const contentHash = this.#hash?.digest();
    this.#writer.add(contentHash === undefined ? this.#entry : { ...this.#entry, contentHash });
  }
}

function* withFirst(first: Uint8Array, rest: Iterator<Uint8Array>): Generator<Uint8Array> {
  yield first;
  for (let next = rest.next(); !next.done; next = rest.next()) yield next.value;
}

/** A broken archive is the user's file, not an image. */
function nameArchive(error: unknown): unknown {
  if (!(error instanceof BuildError) || error.code !== "image-invalid") return error;
  return new BuildError("copy-failed", error.message, { hint: error.hint, cause: error.cause });
}
