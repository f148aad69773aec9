import { closeSync, mkdirSync, openSync, symlinkSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { BuildError } from "../errors/build-error.ts";
import { DETECT_SIZE, detectCompression, type Inflater, makeInflater } from "../rootfs/inflate.ts";
import { cleanPath } from "../rootfs/rootfs-path.ts";
import { TarReader } from "../rootfs/tar-reader.ts";

/**
 * Unpacks an image archive (not a root file system): regular files, and links of older `docker save`s that stay within. The archive
 * may be compressed.
 *
 * @throws BuildError `image-invalid`.
 */
export async function unpackArchive(
  archive: Readable,
  {
    directory,
    name,
    signal,
  }: { readonly directory: string; readonly name: string; readonly signal: AbortSignal },
): Promise<void> {
  using files = new ArchiveFiles(directory);
  const reader = new TarReader(files);
  let inflater: Inflater | undefined;
  let head = Buffer.alloc(0);
  const begin = async () => {
    inflater = makeInflater(detectCompression(head), (chunk) => reader.write(chunk));
    await inflater.write(head);
  };
  try {
    for await (const chunk of archive as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      if (inflater !== undefined) await inflater.write(chunk);
      else {
        head = Buffer.concat([head, chunk]);
        if (head.length >= DETECT_SIZE) await begin();
      }
    }
    if (inflater === undefined) await begin();
    await inflater!.end();
    reader.end();
  } catch (error) {
    signal.throwIfAborted();
    const { message } = error as Error;
    if (error instanceof BuildError || (error as NodeJS.ErrnoException).code !== undefined) {
      throw new BuildError("image-invalid", `Cannot load "${name}": ${message}`, { cause: error });
    }
    throw error;
  } finally {
    inflater?.destroy();
  }
}

type Member = Parameters<ConstructorParameters<typeof TarReader>[0]["member"]>[0];

/** Writes the members; no name leads out of the directory, and no link is written through. */
class ArchiveFiles implements Disposable {
  readonly #directory: string;
  #fd: number | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  member(member: Member): void {
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
