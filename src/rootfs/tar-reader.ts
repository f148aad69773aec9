import { DEFAULT_LIMITS, type InputLimits, makeLimitError } from "../errors/input-limits.ts";
import { type PaxRecords, parsePaxRecords } from "./pax-records.ts";
import {
  readExtentBlock,
  readSparseRecords,
  readSparseSize,
  SparseContent,
  type SparseExtent,
  type SparseFile,
} from "./sparse-content.ts";
import {
  invalidTar,
  isZeroBlock,
  parseTarHeader,
  type RawHeader,
  TAR_BLOCK,
  tarPadding,
} from "./tar-header.ts";
import { makeTarMember, printable, type TarMember } from "./tar-member.ts";

/** What the archive itself has of a member's content. */
export interface TarPlace {
  /** Where it begins, in bytes. */
  readonly dataOffset: number;
  /** How long it is, in bytes. */
  readonly storedSize: number;
  /** It stands there without its holes, perhaps with a map in front: not as `TarHandler.content` gets it. */
  readonly isSparse: boolean;
}

export interface TarHandler {
  member(member: TarMember, place: TarPlace): void;
  /** A piece of the last member's content; valid during the call. */
  content(chunk: Uint8Array): void;
  /** The last member's content is complete (called for every member). */
  memberEnd(): void;
}

type Meta = "pax" | "global" | "longName" | "longLink";
const META: Readonly<Record<string, Meta>> = { x: "pax", g: "global", L: "longName", K: "longLink" };

interface UnfinishedMember {
  readonly raw: RawHeader;
  readonly size: number;
  readonly extents: SparseExtent[];
}

/**
 * Takes an uncompressed tar in pieces of any size and tells its members. What follows the end marker is ignored, global
 * pax headers too (as docker does). Holds one header at a time.
 */
export class TarReader {
  readonly #handler: TarHandler;
  readonly #limits: InputLimits;
  readonly #block = Buffer.alloc(TAR_BLOCK);
  #blockFill = 0;
  #offset = 0;
  #remaining = 0;
  #padding = 0;
  /** Of the headers since the last member, so that they cannot go on forever. */
  #metaBytes = 0;
  #meta: { readonly kind: Meta; readonly body: Buffer; fill: number } | undefined;
  #inMember = false;
  #zeroBlocks = 0;
  #pax: PaxRecords | undefined;
  #longName: string | undefined;
  #longLink: string | undefined;
  /** An old GNU sparse member whose map goes on in the next block. */
  #unfinished: UnfinishedMember | undefined;
  #sparse: SparseContent | undefined;

  constructor(handler: TarHandler, { limits = DEFAULT_LIMITS }: { readonly limits?: InputLimits } = {}) {
    this.#handler = handler;
    this.#limits = limits;
  }

  /** A zero block was read: no member follows. */
  get isAtEnd(): boolean {
    return this.#zeroBlocks > 0;
  }

  /** @throws BuildError `image-invalid` for what is no tar, `input-limit`. */
  write(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#zeroBlocks >= 2) {
        this.#offset += chunk.length - at;
        return;
      }
      const taken = this.#take(chunk, at);
      at += taken;
      this.#offset += taken;
    }
  }

  /** Must be called once, after the last piece. @throws BuildError `image-invalid` when the archive is cut off. */
  end(): void {
    const isCut =
      this.#unfinished !== undefined ||
      this.#remaining > 0 ||
      this.#padding > 0 ||
      this.#blockFill > 0 ||
      this.#pax !== undefined;
    if (this.#zeroBlocks < 2 && (isCut || this.#longName !== undefined || this.#longLink !== undefined)) {
      throw invalidTar("it is cut off");
    }
  }

  #take(chunk: Uint8Array, at: number): number {
    if (this.#remaining > 0) {
      const size = Math.min(this.#remaining, chunk.length - at);
      this.#remaining -= size;
      const part = chunk.subarray(at, at + size);
      if (this.#meta === undefined) {
        if (this.#sparse === undefined) this.#handler.content(part);
        else this.#sparse.write(part);
      } else {
        this.#meta.body.set(part, this.#meta.fill);
        this.#meta.fill += size;
      }
      if (this.#remaining === 0) this.#finishContent();
      return size;
    }
    if (this.#padding > 0) {
      const size = Math.min(this.#padding, chunk.length - at);
      this.#padding -= size;
      return size;
    }
    const size = Math.min(TAR_BLOCK - this.#blockFill, chunk.length - at);
    this.#block.set(chunk.subarray(at, at + size), this.#blockFill);
    this.#blockFill += size;
    if (this.#blockFill === TAR_BLOCK) {
      this.#blockFill = 0;
      this.#readBlock(this.#offset + size);
    }
    return size;
  }

  #readBlock(dataOffset: number): void {
    if (this.#unfinished !== undefined) {
      this.#continueMap(this.#unfinished, dataOffset);
      return;
    }
    if (isZeroBlock(this.#block)) {
      this.#zeroBlocks++;
      return;
    }
    if (this.#zeroBlocks > 0) throw invalidTar("a zero block stands between its members");
    const raw = parseTarHeader(this.#block);
    const kind = META[raw.typeflag];
    if (kind === undefined) {
      this.#startMember(raw, dataOffset);
      return;
    }
    this.#countMeta(TAR_BLOCK + raw.size);
    this.#meta = { kind, body: Buffer.alloc(raw.size), fill: 0 };
    this.#startContent(raw.size);
  }

  #countMeta(bytes: number): void {
    this.#metaBytes += bytes;
    this.#checkMeta(this.#metaBytes);
  }

  #checkMeta(bytes: number): void {
    if (bytes <= this.#limits["header-size"]) return;
    const what = "Cannot read the tar archive: the headers of a member are larger";
    throw makeLimitError("header-size", what, this.#limits);
  }

  #startMember(raw: RawHeader, dataOffset: number): void {
    if (raw.typeflag === "S") {
      const { extents, isContinued } = readExtentBlock(this.#block, true);
      const sparse = { size: readSparseSize(this.#block), extents };
      if (isContinued) this.#unfinished = { raw, ...sparse };
      else this.#openMember(raw, dataOffset, sparse);
    } else this.#openMember(raw, dataOffset, this.#pax && readSparseRecords(this.#pax));
  }

  #continueMap(member: UnfinishedMember, dataOffset: number): void {
    this.#countMeta(TAR_BLOCK);
    const { extents, isContinued } = readExtentBlock(this.#block, false);
    member.extents.push(...extents);
    if (isContinued) return;
    this.#unfinished = undefined;
    this.#openMember(member.raw, dataOffset, member);
  }

  #openMember(raw: RawHeader, dataOffset: number, sparse: SparseFile | undefined): void {
    const headers = { raw, pax: this.#pax, longName: this.#longName, longLink: this.#longLink };
    const stored = makeTarMember(headers, this.#limits);
    const member = sparse === undefined ? stored : { ...stored, size: sparse.size };
    if (sparse !== undefined && (member.type !== "file" || member.size < 0))
      throw invalidTar(`"${printable(member.name)}" has the map of a sparse file that it cannot have`);
    this.#sparse =
      sparse &&
      new SparseContent(sparse, {
        emit: (chunk) => this.#handler.content(chunk),
        checkMap: (mapBytes) => this.#checkMeta(mapBytes),
      });
    this.#pax = undefined;
    this.#longName = undefined;
    this.#longLink = undefined;
    this.#metaBytes = 0;
    this.#inMember = true;
    this.#handler.member(member, { dataOffset, storedSize: stored.size, isSparse: sparse !== undefined });
    this.#startContent(stored.size);
  }

  #startContent(size: number): void {
    this.#remaining = size;
    this.#padding = tarPadding(size);
    if (size === 0) this.#finishContent();
  }

  #finishContent(): void {
    if (this.#inMember) {
      this.#inMember = false;
      this.#sparse?.end();
      this.#sparse = undefined;
      this.#handler.memberEnd();
      return;
    }
    const { kind, body } = this.#meta!;
    this.#meta = undefined;
    if (kind === "pax") this.#pax = parsePaxRecords(body);
    else if (kind === "longName") this.#longName = cutAtNul(body);
    else if (kind === "longLink") this.#longLink = cutAtNul(body);
  }
}

function cutAtNul(body: Buffer): string {
  const nul = body.indexOf(0);
  return body.toString("latin1", 0, nul < 0 ? body.length : nul);
}
