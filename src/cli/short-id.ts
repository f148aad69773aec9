import { type Digest, digestHex } from "../oci/digest.ts";

/** docker's short form of an id. */
export function shortId(digest: Digest): string {
  return digestHex(digest).slice(0, 12);
}
