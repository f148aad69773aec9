import { createHash, type Hash } from "node:crypto";
import { readSync, writeSync } from "node:fs";
import {
  BEGIN,
  CONTENTS,
  END,
  ERRNO,
  FILE,
  FILLED,
  READY,
  SLOT_BYTES,
  SLOTS,
  WRITTEN,
  type WriteRing,
} from "./write-ring.ts";

/** The life of a thread that writes for another; it ends with that one. After an error it does nothing until the next file. */
export function serveWrites({ control, bytes }: WriteRing): never {
  let hash = createHash("sha256");
  const take = (content: number, slot: Uint8Array): void => {
    const fd = Atomics.load(control, FILE);
    if (content === BEGIN) hash = hashFile(fd);
    else if (content === END) slot.set(hash.digest());
    else {
      const chunk = slot.subarray(0, content);
      for (let at = 0; at < content; ) at += writeSync(fd, chunk, at);
      hash.update(chunk);
    }
  };
  Atomics.store(control, READY, 1);
  for (let written = 0; ; ) {
    while (Atomics.load(control, FILLED) === written) Atomics.wait(control, FILLED, written);
    const place = written % SLOTS;
    const content = Atomics.load(control, CONTENTS + place);
    if (content === BEGIN) Atomics.store(control, ERRNO, 0);
    if (Atomics.load(control, ERRNO) === 0) {
      try {
        take(content, bytes.subarray(place * SLOT_BYTES, (place + 1) * SLOT_BYTES));
      } catch (error) {
        Atomics.store(control, ERRNO, (error as NodeJS.ErrnoException).errno!);
      }
    }
    Atomics.store(control, WRITTEN, ++written);
    Atomics.notify(control, WRITTEN);
  }
}

function hashFile(fd: number): Hash {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafeSlow(SLOT_BYTES);
  let position = 0;
  for (;;) {
    const read = readSync(fd, buffer, 0, buffer.length, position);
    if (read === 0) return hash;
    hash.update(buffer.subarray(0, read));
    position += read;
  }
}
