import { closeSync, mkdirSync, openSync, symlinkSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { BuildError } from "../errors/build-error.ts";
import { type InputLimits, makeExpansionCheck, makeLimitError } from "../errors/input-limits.ts";
import { inflateArchive } from "../rootfs/inflate-archive.ts";
import { cleanPath, pathToText } from "../rootfs/rootfs-path.ts";
import { TarReader } from "../rootfs/tar-reader.ts";

/**
 * Unpacks an image archive (not a root file system): regular files, and links of older `docker save`s that stay within. The archive
 * may be compressed.
 *
 * @throws BuildError `image-invalid`, `input-limit`.
 */
export async function unpackImageArchive(
  archive: Readable,
  { directory, name, limits, signal }: UnpackOptions,
): Promise<void> {
  const action = `Cannot load "${name}"`;
  using files = new ArchiveFiles(directory, (count) => {
    if (count <= limits["archive-entries"]) return;
    throw makeLimitError("archive-entries", `${action}: it has more members`, limits);
  });
  const reader = new TarReader(files, { limits });
  let size = 0;
  let plainSize = 0;
  const takePlain = (chunk: Uint8Array) => {
    plainSize += chunk.length;
    makeExpansionCheck(size, { what: `${action}: unpacked it is larger`, limits })(plainSize);
    reader.write(chunk);
  };
  async function* takeArchive() {
    for await (const chunk of archive as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      size += chunk.length;
      if (size > limits["download-size"])
        throw makeLimitError("download-size", `${action}: it is larger`, limits);
      yield chunk;
    }
  }
  try {
    await inflateArchive(takeArchive(), takePlain);
    reader.end();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof BuildError && error.code === "input-limit") throw error;
    const what = error instanceof BuildError ? error.message : files.explain(error);
    if (what === undefined) throw error;
    throw new BuildError("image-invalid", `${action}: ${what}`, { cause: error });
  }
}

export interface UnpackOptions {
  readonly directory: string;
  /** For messages. */
  readonly name: string;
  readonly limits: InputLimits;
  readonly signal: AbortSignal;
}

type Member = Parameters<ConstructorParameters<typeof TarReader>[0]["member"]>[0];

/** Writes the members; no name leads out of the directory, and no link is written through. */
class ArchiveFiles implements Disposable {
  readonly #directory: string;
  readonly #checkCount: (members: number) => void;
  #fd: number | undefined;
  #count = 0;
  #name = "";

  constructor(directory: string, checkCount: (members: number) => void) {
    this.#directory = directory;
    this.#checkCount = checkCount;
  }

  /** What the system says about the last member; undefined for what the system did not say. */
  explain(error: unknown): string | undefined {
    const { code } = error as NodeJS.ErrnoException;
    return code && `its member "${this.#name}" cannot be unpacked (${code})`;
  }

  member(member: Member): void {
    this.#checkCount(++this.#count);
    this.#name = pathToText(cleanPath(member.name));
    const path = join(this.#directory, cleanPath(member.name));
    if (member.type === "symlink") {
      const target = cleanPath(join(dirname(cleanPath(member.name)), member.linkName));
      mkdirSync(dirname(path), { recursive: true });
      symlinkSync(join(this.#directory, target), path);
    }
    if (member.type !== "file") return;
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(path, "wx", 0o600);
  }

  content(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) at += writeSync(this.#fd!, chunk, at);
  }

  memberEnd(): void {
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
