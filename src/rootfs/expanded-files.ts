import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";

const ZEROS = Buffer.alloc(64 << 10);

/** Where a layer that was born as a tar has the contents of its sparse files; nothing is there when it has none. */
export function expandedPath(tarPath: string): string {
  return join(dirname(tarPath), "expanded");
}

/**
 * Writes the contents of a layer's sparse files as a reader sees them, one after the other, into a file beside the layer's tar. What is
 * zero takes no space on disk. The file is made with the first byte.
 */
export class ExpandedFiles implements Disposable {
  readonly #path: string | undefined;
  #fd: number | undefined;
  #offset = 0;

  /** Without a path they are only counted. */
  constructor(tarPath: string | undefined) {
    this.#path = tarPath === undefined ? undefined : expandedPath(tarPath);
  }

  /** How long the file is so far, in bytes. */
  get offset(): number {
    return this.#offset;
  }

  /** The chunk may be used again afterwards. */
  write(chunk: Uint8Array): void {
    if (this.#path === undefined) {
      this.#offset += chunk.length;
      return;
    }
    this.#fd ??= openSync(this.#path, "wx", 0o600);
    for (let at = 0; at < chunk.length; at += ZEROS.length) {
      const piece = chunk.subarray(at, at + ZEROS.length);
      if (ZEROS.compare(piece, 0, piece.length, 0, piece.length) !== 0) this.#writeOut(piece);
      this.#offset += piece.length;
    }
  }

  /** Holes at the end count, too. */
  [Symbol.dispose](): void {
    if (this.#fd === undefined) return;
    ftruncateSync(this.#fd, this.#offset);
    closeSync(this.#fd);
    this.#fd = undefined;
  }

  #writeOut(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; )
      at += writeSync(this.#fd!, piece, at, piece.length - at, this.#offset + at);
  }
}
