import { closeSync, constants, openSync, readSync } from "node:fs";
import type { FileSlice } from "./union-tree.ts";

const CHUNK_SIZE = 256 << 10;

/** Open files of layers: a tar stays open until the tree is disposed. */
export class LayerFiles implements Disposable {
  readonly #open = new Map<string, number>();

  *read({ filePath, offset, size }: FileSlice, isKeptOpen: boolean): Generator<Uint8Array> {
    if (size === 0) return;
    const fd = isKeptOpen
      ? this.#keepOpen(String(filePath))
      : openSync(filePath, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    try {
      const buffer = Buffer.allocUnsafeSlow(Math.min(size, CHUNK_SIZE));
      for (let done = 0; done < size; ) {
        const read = readSync(fd, buffer, 0, Math.min(buffer.length, size - done), offset + done);
        if (read === 0) throw new Error(`"${filePath}" is shorter than its layer's index says`);
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

  #keepOpen(path: string): number {
    const open = this.#open.get(path);
    if (open !== undefined) return open;
    const fd = openSync(path, "r");
    this.#open.set(path, fd);
    return fd;
  }
}
