/** A content digest as the OCI image spec 1.1 (descriptor.md, Digests) writes it. slipway makes only sha256. */
export type Digest = `sha256:${string}`;

const SHA256_DIGEST = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: string): text is Digest {
  return SHA256_DIGEST.test(text);
}

/** The 64 hex digits without the algorithm. */
export function digestHex(digest: Digest): string {
  return digest.slice("sha256:".length);
}
