import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { BuildError } from "../errors/build-error.ts";
import type { Compression } from "../oci/media-type.ts";
import { freeUsedUp } from "../threads/free-buffers.ts";
import { splitZstdFrames } from "./zstd-frames.ts";

/** Compressed bytes go in, plain ones come out at the callback. */
export interface Inflater {
  /** Settles when the chunk was taken in. Of gzip the next one may be given before, of others not. */
  write(chunk: Uint8Array): Promise<void>;
  /** @throws BuildError `image-invalid` when the stream is cut off. */
  end(): Promise<void>;
  /** Frees it before its end. */
  destroy(): void;
}

/** What a decompressor hands out at once: for each piece it changes threads, twice. */
const CHUNK_BYTES = 1 << 20;

/** By the first four bytes. */
export function detectCompression(head: Uint8Array): Compression {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
  const isZstd = head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd;
  const isSkippable = (head[0]! & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18;
  return isZstd || isSkippable ? "zstd" : "uncompressed";
}

/** What `output` throws comes out of `write` or `end`. A chunk is valid during the call. */
export function makeInflater(compression: Compression, output: (chunk: Uint8Array) => void): Inflater {
  if (compression === "uncompressed") {
    return {
      write: async (chunk) => output(chunk),
      end: async () => {},
      destroy() {},
    };
  }
  return compression === "gzip"
    ? inflateThrough(createGunzip({ chunkSize: CHUNK_BYTES }), output)
    : inflateZstd(output);
}

/**
 * Node's decompressor loses a frame that begins in the chunk in which another ends, so chunks end where frames end; and takes a frame that ends in an empty
 * block for whole, whatever size it says.
 */
function inflateZstd(output: (chunk: Uint8Array) => void): Inflater {
  let frameBytes = 0;
  const inflater = inflateThrough(createZstdDecompress({ chunkSize: CHUNK_BYTES }), (chunk) => {
    frameBytes += chunk.length;
    output(chunk);
  });
  const splitter = splitZstdFrames();
  return {
    async write(chunk) {
      for (const { bytes, isFrameEnd, contentSize } of splitter.split(chunk)) {
        await inflater.write(bytes);
        if (!isFrameEnd) continue;
        if (contentSize !== undefined && contentSize !== frameBytes) throw makeDataError(DAMAGED);
        frameBytes = 0;
      }
    },
    async end() {
      splitter.end();
      await inflater.end();
    },
    destroy: inflater.destroy,
  };
}

function inflateThrough(stream: Transform, output: (chunk: Uint8Array) => void): Inflater {
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
  let inflated: Buffer | undefined;
  const handOn = () => {
    const chunk = inflated;
    inflated = undefined;
    if (chunk === undefined || failure !== undefined) return;
    try {
      output(chunk);
      freeUsedUp(chunk);
    } catch (error) {
      fail(error);
      stream.destroy();
    }
  };
  stream.on("data", (chunk: Buffer) => {
    handOn();
    inflated = chunk;
    // When this handler returns, Node lets its thread inflate the next piece: meanwhile this one is handed on.
    queueMicrotask(handOn);
  });
  stream.on("end", () => {
    handOn();
    resolve();
  });
  stream.on("error", (error) => {
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
          underWay.delete(refuse);
          if (failure === undefined) take();
          else refuse(failure);
        });
      });
    },
    async end() {
      stream.end();
      await ended;
    },
    destroy: () => {
      stream.destroy();
    },
  };
}

export const CUT_OFF = "it is cut off";
export const DAMAGED = "it is damaged";

/** The error for compressed data that is broken. */
export function makeDataError(what: string, cause?: unknown): BuildError {
  return new BuildError("image-invalid", `Cannot decompress the data: ${what}`, { cause });
}
