import type { Digest } from "../oci/digest.ts";
import { digestBytes } from "../oci/digest-bytes.ts";
import type { Store } from "./open-store.ts";

/** What a URL had when it was last asked; the bytes are a blob, unless that was pruned. */
export interface StoredDownload {
  readonly url: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** The headers as they came, to ask whether something changed. */
  readonly etag?: string;
  readonly lastModified?: string;
}

interface DownloadRow {
  readonly etag: string | null;
  readonly last_modified: string | null;
  readonly digest: Digest;
  readonly size: number;
}

export function writeDownload(store: Store, download: StoredDownload): void {
  const { url, etag, lastModified, digest, sizeBytes } = download;
  store.database
    .prepare("INSERT OR REPLACE INTO downloads VALUES (?, ?, ?, ?, ?, ?)")
    .run(keyOf(url), etag ?? null, lastModified ?? null, digest, sizeBytes, Date.now());
}

export function findDownload(store: Store, url: string): StoredDownload | undefined {
  const row = store.database.prepare("SELECT * FROM downloads WHERE key = ?").get(keyOf(url)) as
    | DownloadRow
    | undefined;
  return (
    row && {
      url,
      digest: row.digest,
      sizeBytes: row.size,
      ...(row.etag !== null && { etag: row.etag }),
      ...(row.last_modified !== null && { lastModified: row.last_modified }),
    }
  );
}

function keyOf(url: string): string {
  return digestBytes(Buffer.from(url));
}
