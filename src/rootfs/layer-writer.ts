import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { InputLimits } from "../errors/input-limits.ts";
import { makeLimitError } from "../errors/input-limits.ts";
import type { Digest } from "../oci/digest.ts";
import { digestHex } from "../oci/digest.ts";
import { HashedFile } from "../threads/hashed-file.ts";
import type { WrittenLayer } from "./copy-request.ts";
import type { Entry } from "./entry.ts";
import { ExpandedFiles } from "./expanded-files.ts";
import { writeLayerIndex } from "./layer-entries.ts";
import { RecordSorter } from "./record-sorter.ts";

/** For layers that come from outside. */
export interface EntryLimit {
  readonly name: "archive-entries" | "layer-entries";
  readonly limits: InputLimits;
}

export interface LayerWriterOptions {
  readonly limit?: EntryLimit;
  /** Called with the length of the tar, as it grows. */
  readonly onProgress?: (doneBytes: number) => void;
  /** False keeps the index alone: the tar is hashed and goes nowhere. */
  readonly keepsTar?: boolean;
  /** The caller is busy until the end, and leaves writing and hashing a long tar to another thread. */
  readonly usesThread?: boolean;
}

const BUFFER_SIZE = 256 << 10;

/**
 * A layer in the making: the bytes of its uncompressed tar and the entries that they say, both in any order. Lives in a
 * temporary directory until `finish` renames it to its place; disposing it before leaves nothing.
 */
export class LayerWriter implements Disposable {
  readonly #layersDirectory: string;
  readonly #directory: string;
  readonly #options: LayerWriterOptions;
  /** Of the tar, where it is kept. */
  readonly #fd: number | undefined;
  readonly #tar: HashedFile;
  readonly #sorter: RecordSorter;
  readonly #buffer = Buffer.alloc(BUFFER_SIZE);
  /** For the sparse files of the tar, whose bytes do not stand in it as they are. */
  readonly expanded: ExpandedFiles;
  #fill = 0;
  #offset = 0;
  #isOpen = true;

  constructor(layersDirectory: string, options: LayerWriterOptions = {}) {
    this.#layersDirectory = layersDirectory;
    this.#options = options;
    this.#directory = join(layersDirectory, `.new-${randomBytes(9).toString("hex")}`);
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const tarPath = (options.keepsTar ?? true) ? join(this.#directory, "tar") : undefined;
    if (tarPath !== undefined) this.#fd = openSync(tarPath, "wx+", 0o600);
    this.#tar = new HashedFile(this.#fd, options);
    this.expanded = new ExpandedFiles(tarPath);
    this.#sorter = new RecordSorter(join(this.#directory, "sort"));
  }

  /** How long the tar is so far, in bytes. */
  get offset(): number {
    return this.#offset;
  }

  /** Appends to the tar. The chunk may be used again afterwards. */
  write(chunk: Uint8Array): void {
    this.#offset += chunk.length;
    this.#options.onProgress?.(this.#offset);
    if (this.#fill + chunk.length > BUFFER_SIZE) this.#flush();
    if (chunk.length >= BUFFER_SIZE) {
      this.#tar.write(chunk);
    } else {
      this.#buffer.set(chunk, this.#fill);
      this.#fill += chunk.length;
    }
  }

  /** As `writeLayerIndex` wants them. @throws BuildError `input-limit`. */
  add(entry: Entry): void {
    this.#sorter.add(entry);
    this.#checkCount(this.#sorter.count);
  }

  /** @throws BuildError `image-invalid` when the entries contradict each other; `input-limit`; what `check` throws. */
  finish(check?: (diffId: Digest) => void): WrittenLayer {
    this.#flush();
    const diffId: Digest = `sha256:${this.#tar.finish().toString("hex")}`;
    check?.(diffId);
    writeLayerIndex(join(this.#directory, "index"), this.#sorter, (count) => this.#checkCount(count));
    this.#close();
    const id = digestHex(diffId);
    const directory = join(this.#layersDirectory, id);
    try {
      renameSync(this.#directory, directory);
    } catch (error) {
      // The same layer was made before, or at the same time: one is as good as the other.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
    }
    const content = { kind: "tar", tarPath: join(directory, "tar") } as const;
    return {
      layer: { id, indexPath: join(directory, "index"), content, diffId },
      diffId,
      tarSizeBytes: this.#offset,
    };
  }

  [Symbol.dispose](): void {
    this.#close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #checkCount(count: number): void {
    const { limit } = this.#options;
    if (limit === undefined || count <= limit.limits[limit.name]) return;
    const what = limit.name === "layer-entries" ? "layer" : "archive";
    throw makeLimitError(
      limit.name,
      `Cannot read the ${what}: it has more files and directories`,
      limit.limits,
    );
  }

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#sorter[Symbol.dispose]();
    this.expanded[Symbol.dispose]();
    this.#tar[Symbol.dispose]();
    if (this.#fd !== undefined) closeSync(this.#fd);
  }

  #flush(): void {
    this.#tar.write(this.#buffer.subarray(0, this.#fill));
    this.#fill = 0;
  }
}
