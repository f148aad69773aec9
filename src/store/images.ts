import type { Digest } from "../oci/digest.ts";
import { inTransaction } from "./database.ts";
import type { Store } from "./open-store.ts";

/** An image of the store. Its id is the digest of its config; the layers are found by the config's diff IDs. */
export interface StoredImage {
  readonly configDigest: Digest;
  /** The manifest that it was pulled with; an image that was built here has none until it is exported. */
  readonly manifestDigest?: Digest;
  readonly platform: string;
  /** Sum of the uncompressed layers, in bytes; of what is known for a partial image. */
  readonly sizeBytes: number;
  /** Milliseconds since 1970. */
  readonly created: number;
}

export interface ImageTag {
  /** Full reference with a tag: `docker.io/library/alpine:latest`. */
  readonly name: string;
  readonly platform: string;
  readonly configDigest: Digest;
  /** What the registry answered for the name when it was pulled: an index's or a manifest's digest. */
  readonly targetDigest?: Digest;
  readonly updated: number;
}

interface ImageRow {
  readonly config_digest: Digest;
  readonly manifest_digest: Digest | null;
  readonly platform: string;
  readonly size_bytes: number;
  readonly created: number;
}

interface TagRow {
  readonly name: string;
  readonly platform: string;
  readonly config_digest: Digest;
  readonly target_digest: Digest | null;
  readonly updated: number;
}

export function writeImage(store: Store, image: StoredImage): void {
  inTransaction(
    store.database,
    () =>
      store.database
        .prepare(
          `INSERT INTO images VALUES (?, ?, ?, ?, ?) ON CONFLICT (config_digest) DO UPDATE SET
         manifest_digest = coalesce(excluded.manifest_digest, manifest_digest), size_bytes = max(size_bytes, excluded.size_bytes)`,
        )
        .run(
          image.configDigest,
          image.manifestDigest ?? null,
          image.platform,
          image.sizeBytes,
          image.created,
        ),
    { isNews: findImage(store, image.configDigest) === undefined },
  );
}

export function findImage(store: Store, configDigest: Digest): StoredImage | undefined {
  const row = store.database.prepare("SELECT * FROM images WHERE config_digest = ?").get(configDigest);
  return row && fromImageRow(row as unknown as ImageRow);
}

/** Images whose id begins with `prefix` (hex digits): docker's short ids. */
export function findImagesById(store: Store, prefix: string): StoredImage[] {
  const rows = store.database
    .prepare("SELECT * FROM images WHERE substr(config_digest, 8, ?) = ?")
    .all(prefix.length, prefix);
  return rows.map((row) => fromImageRow(row as unknown as ImageRow));
}

/** The images that a digest stands for: a manifest's own, or those that were pulled through an index with that digest. */
export function findImagesByDigest(store: Store, digest: Digest): StoredImage[] {
  const rows = store.database
    .prepare(
      `SELECT * FROM images WHERE manifest_digest = :digest
       OR config_digest IN (SELECT config_digest FROM tags WHERE target_digest = :digest)`,
    )
    .all({ digest });
  return rows.map((row) => fromImageRow(row as unknown as ImageRow));
}

export function listImages(store: Store): StoredImage[] {
  const rows = store.database.prepare("SELECT * FROM images ORDER BY created DESC, config_digest").all();
  return rows.map((row) => fromImageRow(row as unknown as ImageRow));
}

export function writeTag(store: Store, tag: ImageTag): void {
  const { configDigest, targetDigest } = findTag(store, tag.name, tag.platform) ?? {};
  inTransaction(
    store.database,
    () =>
      store.database
        .prepare("INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?, ?)")
        .run(tag.name, tag.platform, tag.configDigest, tag.targetDigest ?? null, tag.updated),
    { isNews: configDigest !== tag.configDigest || targetDigest !== tag.targetDigest },
  );
}

/** The tag for one platform. */
export function findTag(store: Store, name: string, platform: string): ImageTag | undefined {
  const row = store.database
    .prepare("SELECT * FROM tags WHERE name = ? AND platform = ?")
    .get(name, platform);
  return row && fromTagRow(row as unknown as TagRow);
}

/** All platforms of a name, in the order in which they got it: an index over them lists them so. */
export function findTags(store: Store, name: string): ImageTag[] {
  return (
    store.database
      .prepare("SELECT * FROM tags WHERE name = ? ORDER BY rowid")
      .all(name) as unknown as TagRow[]
  ).map(fromTagRow);
}

export function listTags(store: Store): ImageTag[] {
  return (
    store.database.prepare("SELECT * FROM tags ORDER BY name, platform").all() as unknown as TagRow[]
  ).map(fromTagRow);
}

/** Removes a name; and its image when no other name and no container needs it. Returns what went. */
export function removeTag(store: Store, name: string): { readonly images: readonly Digest[] } {
  return inTransaction(store.database, () => {
    const tags = findTags(store, name);
    store.database.prepare("DELETE FROM tags WHERE name = ?").run(name);
    return { images: tags.map((tag) => tag.configDigest).filter((digest) => removeUnused(store, digest)) };
  });
}

/** Removes an image by id with all its names. */
export function removeImage(store: Store, configDigest: Digest): void {
  inTransaction(store.database, () => {
    store.database.prepare("DELETE FROM tags WHERE config_digest = ?").run(configDigest);
    store.database.prepare("DELETE FROM images WHERE config_digest = ?").run(configDigest);
  });
}

function removeUnused(store: Store, configDigest: Digest): boolean {
  return (
    store.database
      .prepare(
        `DELETE FROM images WHERE config_digest = :id AND NOT EXISTS (SELECT 1 FROM tags WHERE config_digest = :id)
         AND NOT EXISTS (SELECT 1 FROM containers WHERE config_digest = :id)`,
      )
      .run({ id: configDigest }).changes > 0
  );
}

function fromImageRow(row: ImageRow): StoredImage {
  return {
    configDigest: row.config_digest,
    ...(row.manifest_digest !== null && { manifestDigest: row.manifest_digest }),
    platform: row.platform,
    sizeBytes: row.size_bytes,
    created: row.created,
  };
}

function fromTagRow(row: TagRow): ImageTag {
  return {
    name: row.name,
    platform: row.platform,
    configDigest: row.config_digest,
    ...(row.target_digest !== null && { targetDigest: row.target_digest }),
    updated: row.updated,
  };
}
