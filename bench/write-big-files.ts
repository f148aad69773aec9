import { createCipheriv } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export interface FilesSize {
  readonly files: number;
  /** Of each. */
  readonly sizeBytes: number;
}

/** How much of each file gzip cannot make smaller: programs and libraries come to about that. */
const RANDOM_SHARE = 0.36;
const FILES_PER_DIRECTORY = 100;
const TEXT = Buffer.from("A line of a text that a compressor has seen before, more or less.\n".repeat(1000));

/** Writes `0/0`, `0/1`, ... of pseudo-random content that is the same in every run and of which no two files are alike. */
export function writeBigFiles(directory: string, { files, sizeBytes }: FilesSize): void {
  const random = createCipheriv("aes-128-ctr", Buffer.alloc(16, files % 251), Buffer.alloc(16));
  for (let at = 0; at < files; at++) {
    const path = join(directory, `${Math.floor(at / FILES_PER_DIRECTORY)}/${at % FILES_PER_DIRECTORY}`);
    if (at % FILES_PER_DIRECTORY === 0) mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, makeContent(random, sizeBytes));
  }
}

function makeContent(random: ReturnType<typeof createCipheriv>, sizeBytes: number): Buffer {
  const pieces: Buffer[] = [];
  // Alternating, so that a block of any size has some of both.
  for (let left = sizeBytes; left > 0; ) {
    const length = Math.min(left, 4096);
    const randomLength = Math.ceil(length * RANDOM_SHARE);
    pieces.push(random.update(Buffer.alloc(randomLength)), TEXT.subarray(0, length - randomLength));
    left -= length;
  }
  return Buffer.concat(pieces);
}
