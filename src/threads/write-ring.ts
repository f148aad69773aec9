/** Buffers in memory that two threads share: one fills them in turn, the other writes them to files. */
export interface WriteRing {
  /** The numbers below, then what is in each slot: so many bytes, or one of `BEGIN` and `END`. */
  readonly control: Int32Array<SharedArrayBuffer>;
  readonly bytes: Uint8Array<SharedArrayBuffer>;
}

export const SLOTS = 8;
export const SLOT_BYTES = 512 << 10;

/** 1 when the writing thread has started. */
export const READY = 0;
/** The descriptor of the file. */
export const FILE = 1;
/** How many slots were filled, and how many of them were written, since the thread started. */
export const FILLED = 2;
export const WRITTEN = 3;
/** Of the first call that failed, as Node has it; 0 when none did. */
export const ERRNO = 4;
export const CONTENTS = 5;

/** Another file begins: what it has already counts for its digest. */
export const BEGIN = -1;
/** The file ends: the slot gets the SHA-256 of all that it has. */
export const END = -2;

export function makeWriteRing(): WriteRing {
  return {
    control: new Int32Array(new SharedArrayBuffer(4 * (CONTENTS + SLOTS))),
    bytes: new Uint8Array(new SharedArrayBuffer(SLOTS * SLOT_BYTES)),
  };
}
