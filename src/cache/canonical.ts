import { createHash } from "node:crypto";
import type { Digest } from "../oci/digest.ts";

/** What can be hashed: plain data. Fields that are undefined count as absent. */
export type Canonical =
  | null
  | undefined
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Canonical[]
  | { readonly [key: string]: Canonical };

/**
 * The one encoder for everything that is hashed: each value has its kind and its length in front and keys are sorted, so
 * two different values never have the same bytes.
 */
export function digestCanonical(value: Canonical): Digest {
  const hash = createHash("sha256");
  encode(value, (part) => hash.update(part));
  return `sha256:${hash.digest("hex")}`;
}

function encode(value: Canonical, write: (part: string | Uint8Array) => void): void {
  if (value === null || value === undefined) write("z;");
  else if (typeof value === "boolean") write(value ? "t;" : "f;");
  else if (typeof value === "number") writeSized("n", String(value), write);
  else if (typeof value === "string") writeSized("s", value, write);
  else if (value instanceof Uint8Array) {
    write(`b${value.length};`);
    write(value);
  } else if (isArray(value)) {
    write(`a${value.length};`);
    for (const item of value) encode(item, write);
  } else {
    const keys = Object.keys(value)
      .filter((key) => value[key] !== undefined)
      .sort();
    write(`o${keys.length};`);
    for (const key of keys) {
      writeSized("s", key, write);
      encode(value[key], write);
    }
  }
}

function writeSized(kind: string, text: string, write: (part: string) => void): void {
  write(`${kind}${Buffer.byteLength(text)};`);
  write(text);
}

/** Array.isArray does not narrow readonly arrays out of a union. */
function isArray(value: Canonical): value is readonly Canonical[] {
  return Array.isArray(value);
}
