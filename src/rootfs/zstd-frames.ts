import { BuildError } from "../errors/build-error.ts";

/** RFC 8878, section 3.1: where frames of a zstd stream end, found by reading the headers of its blocks. */
export interface ZstdFrameSplitter {
  /** The parts of the chunk to decompress, none of which holds bytes of two frames; skippable frames are left out. */
  split(chunk: Uint8Array): Iterable<ZstdPart>;
  /** @throws BuildError `image-invalid` in the middle of a frame. */
  end(): void;
}

export interface ZstdPart {
  readonly bytes: Uint8Array;
  readonly isFrameEnd: boolean;
  /** Of the frame that ends here, decompressed, if it says so: in bytes. */
  readonly contentSize?: number;
}

type State = "magic" | "descriptor" | "header" | "block-header" | "skip-size" | "body" | "skip";

export function splitZstdFrames(): ZstdFrameSplitter {
  let state: State = "magic";
  /** Bytes that the state needs before it can decide; collected in `held`. */
  let needed = 4;
  const held = Buffer.alloc(32);
  let fill = 0;
  /** Of `body` and `skip`: bytes to pass over, and what comes then. */
  let remaining = 0;
  let hasChecksum = false;
  let isLastBlock = false;
  let isFrameEnd = false;
  /** The frame's content size: where in its header, how long, and what it is. */
  let sizeField = { offset: 0, length: 0 };
  let contentSize: number | undefined;

  const want = (next: State, size: number) => {
    state = next;
    needed = size;
    fill = 0;
  };
  const pass = (next: "body" | "skip", size: number) => {
    state = next;
    remaining = size;
    fill = 0;
  };
  /** After a block's content. */
  const finishBody = () => {
    if (!isLastBlock) want("block-header", 3);
    else if (hasChecksum) {
      hasChecksum = false;
      pass("body", 4);
    } else {
      isFrameEnd = true;
      isLastBlock = false;
      want("magic", 4);
    }
  };
  const decide = () => {
    switch (state) {
      case "magic": {
        const magic = held.readUInt32LE(0);
        if (magic === 0xfd2fb528) want("descriptor", 1);
        else if ((magic & 0xfffffff0) >>> 0 === 0x184d2a50) want("skip-size", 4);
        else throw new BuildError("image-invalid", "Cannot decompress the data: it is no zstd frame");
        break;
      }
      case "descriptor": {
        const descriptor = held[0]!;
        const isSingleSegment = (descriptor & 0x20) !== 0;
        hasChecksum = (descriptor & 0x04) !== 0;
        const sizeFlag = descriptor >> 6;
        const length = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 1 << sizeFlag;
        const dictionary = [0, 1, 2, 4][descriptor & 3]!;
        const offset = (isSingleSegment ? 0 : 1) + dictionary;
        sizeField = { offset, length };
        contentSize = undefined;
        // There is a window or a size: the header is never empty.
        want("header", offset + length);
        break;
      }
      case "header":
        contentSize = readContentSize(held, sizeField);
        want("block-header", 3);
        break;
      case "block-header": {
        const header = held.readUIntLE(0, 3);
        isLastBlock = (header & 1) !== 0;
        // A block of one repeated byte (type 1) stores that byte only.
        const size = ((header >> 1) & 3) === 1 ? 1 : header >> 3;
        if (size === 0) finishBody();
        else pass("body", size);
        break;
      }
      case "skip-size": {
        const size = held.readUInt32LE(0);
        if (size === 0) want("magic", 4);
        else pass("skip", size);
        break;
      }
      default:
        throw new Error(`no decision in state ${state}`);
    }
  };

  return {
    *split(chunk) {
      let at = 0;
      let start = 0;
      while (at < chunk.length) {
        if (state === "body" || state === "skip") {
          const size = Math.min(remaining, chunk.length - at);
          at += size;
          remaining -= size;
          if (state === "skip") start = at;
          if (remaining > 0) continue;
          if (state === "skip") want("magic", 4);
          else finishBody();
        } else {
          const isMagic = state === "magic";
          const isOutside = isMagic || state === "skip-size";
          held[fill++] = chunk[at++]!;
          if (fill === needed) decide();
          // The magic number is passed on by itself once it is known to begin a frame.
          if (isOutside) start = at;
          if (isMagic && (state as State) === "descriptor")
            yield { bytes: Buffer.from(held.subarray(0, 4)), isFrameEnd: false };
        }
        if (isFrameEnd) {
          isFrameEnd = false;
          yield { bytes: chunk.subarray(start, at), isFrameEnd: true, contentSize };
          start = at;
        }
      }
      if (start < at) yield { bytes: chunk.subarray(start, at), isFrameEnd: false };
    },
    end() {
      if (state !== "magic" || fill > 0) {
        throw new BuildError("image-invalid", "Cannot decompress the data: it is cut off");
      }
    },
  };
}

/** RFC 8878, section 3.1.1.1.4. */
function readContentSize(
  header: Buffer,
  { offset, length }: { readonly offset: number; readonly length: number },
): number | undefined {
  if (length === 0) return undefined;
  if (length === 8) return Number(header.readBigUInt64LE(offset));
  return header.readUIntLE(offset, length) + (length === 2 ? 256 : 0);
}
