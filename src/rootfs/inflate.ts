import type { Transform } from "node:stream";
import { createGunzip, createInflateRaw, createZstdDecompress } from "node:zlib";
import { BuildError } from "../errors/build-error.ts";
import type { Compression } from "../oci/media-type.ts";
import { freeUsedUp } from "../threads/free-buffers.ts";
import { splitZstdFrames } from "./zstd-frames.ts";

/** Compressed bytes go in, plain ones come out at the callback. */
export interface Inflater {
  /** Settles when the chunk was taken in, and what it holds came out of the decompressor. Of gzip the next one may be given before, of others not. */
  write(chunk: Uint8Array): Promise<void>;
  /** @throws BuildError `image-invalid` when the stream is cut off. */
  end(): Promise<void>;
  /** Frees it before its end. */
  destroy(): void;
}

/** What a decompressor hands out at once: for each piece it changes threads, twice. */
const CHUNK_BYTES = 2 << 20;

/**
 * How much is handed on at a stretch: between two the thread looks whether the next piece is inflated, and lets the one after it be begun, so that
 * neither waits for the other.
 */
const SLICE_BYTES = 128 << 10;
/** Pieces that may wait. */
const WAITING_MAX = 2;

/** By the first four bytes. */
export function detectCompression(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  const isZstd = head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd;
  const isSkippable = (head[0]! & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18;
  return isZstd || isSkippable ? "zstd" : "uncompressed";
}

type Output = (chunk: Uint8Array) => void;

/**
 * What `output` throws comes out of `write` or `end`. A chunk is valid during the call. `skipsChecksum`: whoever takes them knows what they should be, so
 * gzip's CRC-32, a sixth of the work, need not be computed.
 */
export function makeInflater(
  compression: Compression,
  output: Output,
  { skipsChecksum = false }: { readonly skipsChecksum?: boolean } = {},
): Inflater {
  if (compression === "uncompressed") {
    return {
      write: async (chunk) => output(chunk),
      end: async () => {},
      destroy() {},
    };
  }
  if (compression === "zstd") return inflateZstd(output);
  return skipsChecksum ? inflateUnchecked(output) : inflateGzip(output);
}

function inflateGzip(output: Output): Inflater {
  return inflateThrough(createGunzip({ chunkSize: CHUNK_BYTES }), output);
}

/** RFC 1952, 2.3: of a member without optional fields, as all that build images make them. */
const GZIP_HEADER_BYTES = 10;
/** CRC-32 and length. */
const GZIP_TRAILER_BYTES = 8;

/** gzip without its CRC-32, where it has the usual header. */
function inflateUnchecked(output: Output): Inflater {
  let head = Buffer.alloc(0);
  let inflater: Inflater | undefined;
  return {
    async write(chunk) {
      if (inflater !== undefined) return inflater.write(chunk);
      head = Buffer.concat([head, chunk]);
      if (head.length < GZIP_HEADER_BYTES) return;
      const [method, flags] = head.subarray(2, 4);
      const isUsual = method === 8 && flags === 0;
      inflater = isUsual ? inflateMember(output) : inflateGzip(output);
      await inflater.write(isUsual ? head.subarray(GZIP_HEADER_BYTES) : head);
    },
    async end() {
      if (inflater === undefined) {
        inflater = inflateGzip(output);
        await inflater.write(head);
      }
      await inflater.end();
    },
    destroy() {
      inflater?.destroy();
    },
  };
}

/** A member of gzip from behind its header, and whatever follows it. */
function inflateMember(output: Output): Inflater {
  let inflatedBytes = 0;
  const stream = createInflateRaw({ chunkSize: CHUNK_BYTES });
  const member = inflateThrough(stream, output, (sizeBytes) => {
    inflatedBytes += sizeBytes;
  });
  let givenBytes = 0;
  let trailer = Buffer.alloc(0);
  let others: Inflater | undefined;
  let isPadded = false;
  /** What stands behind the deflated data. Writes to the others in the order in which it is called. */
  const takeTail = async (bytes: Uint8Array): Promise<void> => {
    const part = bytes.subarray(0, GZIP_TRAILER_BYTES - trailer.length);
    trailer = Buffer.concat([trailer, part]);
    const behind = bytes.subarray(part.length);
    if (behind.length === 0 || isPadded) return;
    // Zeros are padding, as Node has it.
    isPadded = others === undefined && behind[0] === 0;
    if (isPadded) return;
    if (others === undefined) member.handOnAll();
    others ??= inflateGzip(output);
    await others.write(behind);
  };
  return {
    async write(chunk) {
      givenBytes += chunk.length;
      const end = givenBytes;
      await member.write(chunk);
      // All that was given is taken in, unless the data had an end.
      const tailBytes = Math.min(end - stream.bytesWritten, chunk.length);
      if (tailBytes > 0) await takeTail(chunk.subarray(chunk.length - tailBytes));
    },
    async end() {
      await member.end();
      if (trailer.length < GZIP_TRAILER_BYTES) throw makeDataError("unexpected end of file");
      if (trailer.readUInt32LE(4) !== inflatedBytes % 2 ** 32) throw makeDataError("incorrect length check");
      await others?.end();
    },
    destroy() {
      member.destroy();
      others?.destroy();
    },
  };
}

/**
 * Node's decompressor loses a frame that begins in the chunk in which another ends, so chunks end where frames end; and takes a frame that ends in an empty
 * block for whole, whatever size it says.
 */
function inflateZstd(output: Output): Inflater {
  let frameBytes = 0;
  const inflater = inflateThrough(createZstdDecompress({ chunkSize: CHUNK_BYTES }), output, (sizeBytes) => {
    frameBytes += sizeBytes;
  });
  const splitter = splitZstdFrames();
  return {
    async write(chunk) {
      for (const { bytes, isFrameEnd, contentSize } of splitter.split(chunk)) {
        await inflater.write(bytes);
        if (!isFrameEnd) continue;
        if (contentSize !== undefined && contentSize !== frameBytes) {
          inflater.handOnAll();
          throw makeDataError(DAMAGED);
        }
        frameBytes = 0;
      }
    },
    async end() {
      inflater.handOnAll();
      splitter.end();
      await inflater.end();
    },
    destroy: inflater.destroy,
  };
}

/** `onInflated` hears of each piece, in bytes, before what it was made of counts as taken. */
function inflateThrough(
  stream: Transform,
  output: Output,
  onInflated: (sizeBytes: number) => void = () => {},
): Inflater & { handOnAll(): void } {
  let failure: unknown;
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  ended.catch(() => {});
  /** A stream that is destroyed does not call back for the write that is under way. */
  const underWay = new Set<(error: unknown) => void>();
  const fail = (error: unknown) => {
    failure ??= error;
    reject(failure);
    for (const refuse of underWay) refuse(failure);
  };
  const taken: (() => void)[] = [];
  /** A stream that is paused takes a chunk in while it still has what came before. */
  const settleTaken = () => {
    if (stream.readableLength > 0) return;
    for (const settle of taken.splice(0)) settle();
  };
  /** What is inflated and not handed on yet. */
  const waiting: Buffer[] = [];
  let handedOnBytes = 0;
  let isHandingOn = false;
  let hasEnded = false;
  const handOn = () => {
    isHandingOn = false;
    const chunk = waiting[0];
    if (chunk === undefined || failure !== undefined) return;
    try {
      const end = Math.min(handedOnBytes + SLICE_BYTES, chunk.length);
      output(chunk.subarray(handedOnBytes, end));
      handedOnBytes = end;
    } catch (error) {
      fail(error);
      stream.destroy();
      return;
    }
    if (handedOnBytes === chunk.length) {
      freeUsedUp(chunk);
      waiting.shift();
      handedOnBytes = 0;
      if (waiting.length < WAITING_MAX) stream.resume();
    }
    if (waiting.length > 0) handOnSoon();
    else if (hasEnded) resolve();
  };
  const handOnSoon = () => {
    if (isHandingOn) return;
    isHandingOn = true;
    setImmediate(handOn);
  };
  /** Before an error: what came first is good, and may say more. */
  const handOnAll = () => {
    while (waiting.length > 0 && failure === undefined) handOn();
  };
  stream.on("data", (chunk: Buffer) => {
    onInflated(chunk.length);
    waiting.push(chunk);
    if (waiting.length >= WAITING_MAX) stream.pause();
    handOnSoon();
    settleTaken();
  });
  stream.on("end", () => {
    hasEnded = true;
    if (waiting.length === 0) resolve();
  });
  stream.on("error", (error) => {
    handOnAll();
    // DIFFERS: docker leaves out what stands behind a gzip archive where unpigz unpacks it.
    const isBehindEnd = error.message === "incorrect header check";
    fail(makeDataError(isBehindEnd ? "something else stands behind its end" : error.message, error));
  });
  return {
    write(chunk) {
      if (failure !== undefined) return Promise.reject(failure);
      return new Promise((take, refuse) => {
        underWay.add(refuse);
        stream.write(chunk, () => {
          taken.push(() => {
            underWay.delete(refuse);
            if (failure === undefined) take();
            else refuse(failure);
          });
          settleTaken();
        });
      });
    },
    async end() {
      stream.end();
      await ended;
    },
    destroy: () => {
      // Who takes it may be gone.
      waiting.length = 0;
      stream.destroy();
    },
    handOnAll,
  };
}

export const CUT_OFF = "it is cut off";
export const DAMAGED = "it is damaged";

/** The error for compressed data that is broken. */
export function makeDataError(what: string, cause?: unknown): BuildError {
  return new BuildError("image-invalid", `Cannot decompress the data: ${what}`, { cause });
}
