import { createHash } from "node:crypto";
import type { Digest } from "./digest.ts";

export function digestBytes(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
