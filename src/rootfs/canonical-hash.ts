import { createHash, type Hash } from "node:crypto";
import type { Digest } from "../oci/digest.ts";
import type { Entry } from "./entry.ts";

/** Small values go to the hash together: each call of it costs as much as hashing some hundred bytes. */
const BUFFER_SIZE = 16 << 10;
const LENGTH_SIZE = 8;

/** Hashes values so that no two sequences of them give the same bytes: each has its length in front. */
export class CanonicalHash {
  readonly #hash: Hash = createHash("sha256");
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_SIZE);
  #fill = 0;

  /** A byte string (one char a byte) or bytes. */
  add(value: string | Uint8Array): this {
    if (this.#fill + LENGTH_SIZE + value.length > BUFFER_SIZE) this.#flush();
    this.#fill = this.#buffer.writeDoubleLE(value.length, this.#fill);
    if (this.#fill + value.length > BUFFER_SIZE) {
      this.#flush();
      if (typeof value === "string") this.#hash.update(value, "latin1");
      else this.#hash.update(value);
    } else {
      if (typeof value === "string") this.#buffer.write(value, this.#fill, "latin1");
      else this.#buffer.set(value, this.#fill);
      this.#fill += value.length;
    }
    return this;
  }

  addNumber(value: number): this {
    return this.add(String(value));
  }

  digest(): Digest {
    this.#flush();
    return `sha256:${this.#hash.digest("hex")}`;
  }

  #flush(): void {
    this.#hash.update(this.#buffer.subarray(0, this.#fill));
    this.#fill = 0;
  }
}

/**
 * An entry as a content key sees it: everything that will be written but the time. `hardLinkOf` is what the caller says,
 * for only the names that are copied together count.
 */
export function addEntry(hash: CanonicalHash, entry: Entry, hardLinkOf: string): void {
  hash.add(entry.path).add(entry.type).addNumber(entry.mode).addNumber(entry.uid).addNumber(entry.gid);
  hash
    .addNumber(entry.size)
    .add(entry.contentHash ?? "")
    .add(entry.linkTarget ?? "")
    .add(hardLinkOf);
  hash.addNumber(entry.deviceMajor ?? 0).addNumber(entry.deviceMinor ?? 0);
  const names = Object.keys(entry.xattrs ?? {}).sort();
  hash.addNumber(names.length);
  for (const name of names) hash.add(name).add(entry.xattrs![name]!);
}
