import { closeSync, constants, openSync, readSync } from "node:fs";
import type { FileSlice } from "./union-tree.ts";

const CHUNK_SIZE = 256 << 10;

/** What lies closer behind what was read last is read along: files that a walk asks for stand one after the other in a tar. */
const NEAR_SIZE = 32 << 10;

/** Open files of layers: a tar stays open until the tree is disposed. A chunk is valid until the next one of any file is asked for. */
export class LayerFiles implements Disposable {
  readonly #open = new Map<string, number>();
  #window: Window | undefined;

  *read({ filePath, offset, size }: FileSlice, isKeptOpen: boolean): Generator<Uint8Array> {
    if (size === 0) return;
    if (isKeptOpen && size <= CHUNK_SIZE) {
      yield this.#readSmall(String(filePath), { offset, size });
      return;
    }
    const fd = isKeptOpen
      ? this.#keepOpen(String(filePath))
      : openSync(filePath, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    try {
      const buffer = Buffer.allocUnsafeSlow(Math.min(size, CHUNK_SIZE));
      for (let done = 0; done < size; ) {
        const read = readSync(fd, buffer, 0, Math.min(buffer.length, size - done), offset + done);
        if (read === 0) throw tooShort(filePath);
        done += read;
        yield buffer.subarray(0, read);
      }
    } finally {
      if (!isKeptOpen) closeSync(fd);
    }
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }

  #readSmall(path: string, { offset, size }: { readonly offset: number; readonly size: number }): Uint8Array {
    this.#window ??= { path: "", buffer: Buffer.allocUnsafeSlow(CHUNK_SIZE), start: 0, end: 0 };
    const window = this.#window;
    const isSame = window.path === path && offset >= window.start;
    if (!isSame || offset + size > window.end) {
      const isNear = isSame && offset - window.end <= NEAR_SIZE;
      window.path = path;
      window.start = offset;
      window.end = offset;
      const fd = this.#keepOpen(path);
      while (window.end < offset + size) {
        const fill = window.end - offset;
        const wanted = isNear ? CHUNK_SIZE - fill : size - fill;
        const read = readSync(fd, window.buffer, fill, wanted, window.end);
        if (read === 0) throw tooShort(path);
        window.end += read;
      }
    }
    return window.buffer.subarray(offset - window.start, offset - window.start + size);
  }

  #keepOpen(path: string): number {
    const open = this.#open.get(path);
    if (open !== undefined) return open;
    const fd = openSync(path, "r");
    this.#open.set(path, fd);
    return fd;
  }
}

/** Bytes of a tar, from `start` up to `end`. */
interface Window {
  path: string;
  readonly buffer: Buffer;
  start: number;
  end: number;
}

function tooShort(path: string | Buffer): Error {
  return new Error(`"${path}" is shorter than its layer's index says`);
}
