import { createHash, type Hash } from "node:crypto";
import type { Digest } from "../oci/digest.ts";
import type { Entry } from "./entry.ts";

/** Hashes values so that no two sequences of them give the same bytes: each has its length in front. */
export class CanonicalHash {
  readonly #hash: Hash = createHash("sha256");
  readonly #length = Buffer.alloc(8);

  /** A byte string (one char a byte) or bytes. */
  add(value: string | Uint8Array): this {
    this.#length.writeDoubleLE(value.length);
    this.#hash.update(this.#length);
    if (typeof value === "string") this.#hash.update(value, "latin1");
    else this.#hash.update(value);
    return this;
  }

  addNumber(value: number): this {
    return this.add(String(value));
  }

  digest(): Digest {
    return `sha256:${this.#hash.digest("hex")}`;
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
