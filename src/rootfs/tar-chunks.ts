import { closeSync, constants, openSync, readSync } from "node:fs";
import { diskPath } from "./disk-path.ts";
import type { Entry } from "./entry.ts";
import { membersOf } from "./entry-member.ts";
import { IndexReader } from "./index-reader.ts";
import type { Layer } from "./layer.ts";
import { ROOT } from "./rootfs-path.ts";
import { tarPadding } from "./tar-header.ts";
import { encodeTarMember, TAR_END } from "./tar-writer.ts";

const CHUNK_SIZE = 256 << 10;
const ZEROS = Buffer.alloc(512);

/**
 * A layer's uncompressed tar in pieces: the file where there is one, else written from the directory in the order of the
 * index. A chunk is valid until the next one is asked for.
 */
export function* tarChunks(layer: Layer): Generator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(CHUNK_SIZE);
  if (layer.content.kind === "tar") {
    yield* readFile(layer.content.tarPath, buffer);
    return;
  }
  const { directoryPath } = layer.content;
  using index = new IndexReader(layer.indexPath);
  for (const entry of index.scan(ROOT)) {
    for (const member of membersOf(entry)) {
      yield encodeTarMember(member);
      if (member.size === 0) continue;
      yield* readContent(directoryPath, entry, buffer);
      yield ZEROS.subarray(0, tarPadding(member.size));
    }
  }
  yield TAR_END;
}

function* readContent(directory: string, entry: Entry, buffer: Buffer): Generator<Uint8Array> {
  let size = 0;
  for (const chunk of readFile(diskPath(directory, entry.path), buffer)) {
    size += chunk.length;
    if (size > entry.size) break;
    yield chunk;
  }
  if (size !== entry.size) throw new Error(`"${entry.path}" changed after its layer was made`);
}

function* readFile(path: string | Buffer, buffer: Buffer): Generator<Uint8Array> {
  const fd = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  try {
    for (;;) {
      const read = readSync(fd, buffer, 0, buffer.length, null);
      if (read === 0) return;
      yield buffer.subarray(0, read);
    }
  } finally {
    closeSync(fd);
  }
}
