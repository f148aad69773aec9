import type { Digest } from "../oci/digest.ts";
import { inTransaction } from "./database.ts";
import type { Store } from "./open-store.ts";

/** A repository that has a blob, as its registry's manifests say: where to fetch it, and where to mount it from. */
export interface BlobOrigin {
  readonly digest: Digest;
  readonly registry: string;
  readonly repository: string;
  /**
   * What an image's config says that the blob unpacks to; absent for configs. Whoever fetches the blob has it verified: a config may lie.
   */
  readonly diffId?: Digest;
  readonly mediaType: string;
  /** In bytes. */
  readonly size: number;
}

interface OriginRow {
  readonly digest: Digest;
  readonly registry: string;
  readonly repository: string;
  readonly diff_id: Digest | null;
  readonly media_type: string;
  readonly size: number;
}

export function recordBlobOrigins(store: Store, origins: readonly BlobOrigin[]): void {
  // Whoever pushes a blob that was never here does not know its diff ID; somebody else may have.
  const insert = store.database.prepare(
    `INSERT INTO blob_origins VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (digest, registry, repository) DO UPDATE SET
     diff_id = coalesce(excluded.diff_id, diff_id), media_type = excluded.media_type, size = excluded.size`,
  );
  inTransaction(store.database, () => {
    for (const { digest, registry, repository, diffId, mediaType, size } of origins)
      insert.run(digest, registry, repository, diffId ?? null, mediaType, size);
  });
}

export function findBlobOrigins(store: Store, digest: Digest): BlobOrigin[] {
  const rows = store.database
    .prepare("SELECT * FROM blob_origins WHERE digest = ? ORDER BY registry, repository")
    .all(digest);
  return rows.map((row) => fromRow(row as unknown as OriginRow));
}

/** The blobs that are said to unpack to a layer. */
export function findOriginsOfLayer(store: Store, diffId: Digest): BlobOrigin[] {
  const rows = store.database
    .prepare("SELECT * FROM blob_origins WHERE diff_id = ? ORDER BY digest, registry, repository")
    .all(diffId);
  return rows.map((row) => fromRow(row as unknown as OriginRow));
}

function fromRow({ diff_id, media_type, ...row }: OriginRow): BlobOrigin {
  return { ...row, mediaType: media_type, ...(diff_id !== null && { diffId: diff_id }) };
}
